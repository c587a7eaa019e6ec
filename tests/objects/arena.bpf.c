// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Memory that a program and user space share by address, with global variables in it. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

#define PAGE 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100); /* pages */
} arena SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct node {
	__u64 value;
	struct node __arena *next;
};

void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 page_cnt, int node_id, __u64 flags) __ksym
	__weak;
void bpf_arena_free_pages(void *map, void __arena *ptr, __u32 page_cnt) __ksym __weak;

__u32 __arena counter = 7;
struct node __arena first = { .value = 11 };
struct node __arena *list;
struct node __arena *__arena list_in_arena;
char __arena far_away[2 * PAGE];
static __u64 __arena private = 5;
__u32 ordinary = 1;

/* A page with two nodes, linked from the arena's variables; what user space wrote into the first is added up. */
SEC("syscall")
int fill(void *ctx)
{
	struct node __arena *page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!page)
		return 1;
	page[0].value = 0xabcd;
	page[0].next = &page[1];
	page[1].value = first.value + private++;
	page[1].next = NULL;
	list = page;
	list_in_arena = page;
	far_away[2 * PAGE - 1] = 'z';
	counter += ordinary;
	return 0;
}

SEC("syscall")
int sum(void *ctx)
{
	struct node __arena *node = list_in_arena;
	__u64 total = 0;
	int i;

	for (i = 0; i < 10 && node; i++) {
		total += node->value;
		node = node->next;
	}
	return total;
}

char LICENSE[] SEC("license") = "GPL";
