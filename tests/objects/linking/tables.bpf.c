// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Maps that hold a map and a program of back.bpf.c at first. */
#include "linking.h"

extern struct inner first_inner SEC(".maps");
extern int back_tail(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jumps SEC(".maps") = {
	.values = { [1] = &back_tail },
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [1] = &first_inner },
};

SEC("socket")
int jump(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jumps, 1);
	return -1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
