// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An arena in which only programs make pages, and no variables. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_SEGV_ON_FAULT);
	__uint(max_entries, 10); /* pages */
	__ulong(map_extra, 1ull << 44); /* address */
} arena SEC(".maps");

void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 page_cnt, int node_id, __u64 flags) __ksym;

__u64 __arena *page;

SEC("syscall")
int make_page(void *ctx)
{
	page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!page)
		return 1;
	*page = 4711;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
