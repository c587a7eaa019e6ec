// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Static things where libbpf has none: a map, a function in a program's section; and a field of 64 bits (__ulong). */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

static struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} local SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 10);
	__ulong(map_extra, 0x1ull << 44);
} arena SEC(".maps");

/* Called without a relocation: the distance is known. */
static __noinline __attribute__((section("socket"), used)) int beside(int x)
{
	barrier_var(x);
	return x + 1;
}

SEC("socket")
int entry(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u32 *value = bpf_map_lookup_elem(&local, &key);
	return beside(value ? *value : 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
