// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map from before BTF with iproute2's fields behind the common ones; compiled without debugging information. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct bpf_elf_map {
	__u32 type;
	__u32 size_key;
	__u32 size_value;
	__u32 max_elem;
	__u32 flags;
	__u32 id;
	__u32 pinning;
};

struct bpf_elf_map SEC("maps") pinned = {
	.type = BPF_MAP_TYPE_ARRAY,
	.size_key = 4,
	.size_value = 8,
	.max_elem = 1,
	.id = 7,
	.pinning = 2,
};

struct bpf_elf_map SEC("maps") plain = {
	.type = BPF_MAP_TYPE_ARRAY,
	.size_key = 4,
	.size_value = 8,
	.max_elem = 1,
};

SEC("classifier")
int store(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 value = 5;

	bpf_map_update_elem(&plain, &key, &value, BPF_ANY);
	value++;
	return bpf_map_update_elem(&pinned, &key, &value, BPF_ANY);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
