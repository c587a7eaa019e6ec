// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Programs that attach to a BPF program (extended.bpf.c): in place of its function, and around it. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

__u64 entries;
__u64 exits;
__u64 main_entries;
__s64 returned;

SEC("freplace/answer")
int other_answer(struct __sk_buff *skb)
{
	return 77;
}

SEC("fentry/answer")
int on_entry(__u64 *ctx)
{
	entries++;
	return 0;
}

SEC("fexit/answer")
int on_exit(__u64 *ctx)
{
	exits++;
	returned = ctx[1];
	return 0;
}

SEC("fentry")
int on_main(__u64 *ctx)
{
	main_entries++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
