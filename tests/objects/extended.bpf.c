// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A program with a global function, for others to replace and to trace. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

__noinline int answer(struct __sk_buff *skb)
{
	int found = 3;

	barrier_var(found);
	return found;
}

SEC("tc")
int ask(struct __sk_buff *skb)
{
	return answer(skb);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
