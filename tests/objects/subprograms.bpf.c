// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Functions: static and global, called across sections, through each other, and by the kernel (callbacks). */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

__u64 total;

static __noinline int leaf(int x)
{
	barrier_var(x);
	return x * 2;
}

__noinline int global_leaf(int x)
{
	barrier_var(x);
	return x + 1;
}

static __noinline int middle(int x)
{
	barrier_var(x);
	return leaf(x) + global_leaf(x);
}

__hidden __noinline int hidden(int x)
{
	barrier_var(x);
	return leaf(x) - 1;
}

static long add_entry(void *map, const __u32 *key, __u64 *value, void *ctx)
{
	total += *value;
	return 0;
}

static long add_round(__u32 round, void *ctx)
{
	total += leaf(round);
	return 0;
}

SEC("socket")
int first(struct __sk_buff *skb)
{
	return middle(skb->len) + hidden(skb->len);
}

SEC("socket")
int second(struct __sk_buff *skb)
{
	return middle(skb->len) + global_leaf(1);
}

SEC("tc")
int loops(struct __sk_buff *skb)
{
	bpf_for_each_map_elem(&table, add_entry, NULL, 0);
	bpf_loop(8, add_round, NULL, 0);
	return total;
}

SEC("cgroup_skb/egress")
int alone(struct __sk_buff *skb)
{
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
