// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A global function that programs of several types hand their context to: what it is, only the tag says (6.8). */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

__noinline int first_word(int more, void *ctx __arg_ctx)
{
	barrier_var(more);
	return *(volatile __u32 *)ctx + more;
}

SEC("socket")
int of_packet(struct __sk_buff *skb)
{
	return first_word(1, skb);
}

SEC("raw_tp/sys_enter")
int of_tracepoint(void *ctx)
{
	return first_word(2, ctx);
}

SEC("kprobe/vfs_read")
int of_function(void *ctx)
{
	return first_word(3, ctx);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
