// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map of every kind that a loader must tell apart, and every field that a definition may have. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct key {
	__u32 prefix;
	__u8 address[4];
};

struct value {
	__u64 packets;
	__u32 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, struct value);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u64);
} lru SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, __u32);
} lpm SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct value);
} percpu_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} percpu_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} lru_percpu_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 8);
	__uint(value_size, 4);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 1000);
	__uint(map_extra, 3);
	__type(value, __u32);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, 12);
	__uint(value_size, 20);
	__uint(numa_node, 0);
	__uint(map_flags, BPF_F_NUMA_NODE);
} sized SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} pinned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} tagged __attribute__((btf_decl_tag("aiobpf:first"), btf_decl_tag("aiobpf:second"))) SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} inner_0 SEC(".maps"), inner_2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer_array SEC(".maps") = {
	.values = { [0] = &inner_0, [2] = &inner_2 },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, struct inner);
} outer_hash SEC(".maps");

SEC("xdp")
int tail_one(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int tail_two(struct xdp_md *ctx)
{
	return XDP_TX;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} programs SEC(".maps") = {
	.values = { [1] = &tail_one, [3] = &tail_two },
};

SEC("xdp")
int use(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 long_key = 1, count = 1;
	struct key prefix = { .prefix = 32, .address = { 127, 0, 0, 1 } };
	struct value *seen;
	__u32 *value;
	void *inner;

	seen = bpf_map_lookup_elem(&percpu_array, &zero);
	if (seen)
		seen->packets++;
	bpf_map_update_elem(&lru, &long_key, &count, BPF_ANY);
	value = bpf_map_lookup_elem(&lpm, &prefix);
	if (value)
		(*value)++;
	value = bpf_map_lookup_elem(&tagged, &zero);
	if (value)
		(*value)++;
	inner = bpf_map_lookup_elem(&outer_array, &zero);
	if (inner) {
		value = bpf_map_lookup_elem(inner, &zero);
		if (value)
			(*value)++;
	}
	bpf_tail_call(ctx, &programs, 1);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
