// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Declares a function, a callback, variables and maps of back.bpf.c, and has a weak function and variable of its own. */
#include "linking.h"

extern struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct totals);
} shared SEC(".maps");

extern struct totals totals;
extern const volatile int step;
extern __u64 custom SEC(".data.custom");
extern __hidden int concealed;

extern int add_up(int x);
extern __hidden int hidden_add(int x);
extern __hidden long each_round(__u32 round, void *context);

extern int LINUX_KERNEL_VERSION __kconfig __weak;
extern const void no_such_symbol __ksym __weak;

int front_level = 3;
char tag SEC(".data.custom") = 'f';
int limit __weak = 5;
static char front_name[4] = "frnt";
__u64 front_rounds;

__weak __noinline int choose(int x)
{
	barrier_var(x);
	return x + 1;
}

static __noinline int same(int x)
{
	barrier_var(x);
	return x + 1;
}

SEC("socket")
int front(struct __sk_buff *skb)
{
	struct totals own = { .count = front_level };
	__u32 key = tag;

	totals.count += step;
	totals.by_kind[2] += limit;
	custom += 1;
	concealed += 2;
	bpf_loop(4, each_round, NULL, 0);
	bpf_map_update_elem(&shared, &key, &own, BPF_ANY);
	if (!bpf_strncmp(front_name, 4, "frnt"))
		front_rounds++;
	return add_up(1) + choose(1) + same(1) + hidden_add(1);
}

SEC("socket")
int front_kernel(struct __sk_buff *skb)
{
	return LINUX_KERNEL_VERSION + (&no_such_symbol != NULL);
}

SEC("socket")
int front_offset(struct __sk_buff *skb)
{
	return bpf_core_field_offset(struct task_struct, tgid);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
