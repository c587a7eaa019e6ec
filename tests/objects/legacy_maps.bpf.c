// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Maps as before BTF, which libbpf 1.0 dropped; compiled without -g, as such objects were. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct bpf_map_def {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;
};

struct bpf_map_def SEC("maps") counts = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = 4,
	.value_size = 8,
	.max_entries = 2,
};

struct bpf_map_def SEC("maps") names = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = 16,
	.value_size = 4,
	.max_entries = 100,
	.map_flags = BPF_F_NO_PREALLOC,
};

SEC("socket1")
int count(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&counts, &key);
	char name[16] = "x";
	if (value)
		__sync_fetch_and_add(value, 1);
	return bpf_map_delete_elem(&names, name);
}

char _license[] SEC("license") = "GPL";
