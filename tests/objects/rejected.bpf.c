// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The verifier refuses `unchecked`: a map lookup may give no value. `accepted` is fine. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

SEC("socket")
int unchecked(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&table, &key);
	return *value;
}

SEC("socket")
int accepted(struct __sk_buff *skb)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
