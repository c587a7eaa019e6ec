// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Defines what front.bpf.c declares. */
#include "linking.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct totals);
} shared SEC(".maps");
struct inner first_inner SEC(".maps");

extern int front_level;
extern int LINUX_KERNEL_VERSION __kconfig;
extern char LINUX_HAS_BPF_COOKIE __kconfig;

struct totals totals;
const volatile int step = 7;
__u64 custom SEC(".data.custom") = 100;
__hidden int concealed = 40;
int limit = 50;
static char back_name[4] = "back";
__u64 back_rounds;

static __noinline int same(int x)
{
	barrier_var(x);
	return x + 20;
}

__noinline int choose(int x)
{
	barrier_var(x);
	return x + 300;
}

__noinline int add_up(int x)
{
	barrier_var(x);
	if (!bpf_strncmp(back_name, 4, "back"))
		back_rounds++;
	return same(x) + front_level + bpf_core_type_exists(struct task_struct);
}

__hidden __noinline int hidden_add(int x)
{
	barrier_var(x);
	return x + 4000;
}

__hidden __noinline long each_round(__u32 round, void *context)
{
	totals.bytes += round;
	return 0;
}

SEC("socket")
int back(struct __sk_buff *skb)
{
	__u32 key = 'b';
	struct totals own = { .count = limit, .bytes = concealed };

	bpf_map_update_elem(&shared, &key, &own, BPF_ANY);
	return add_up(2) + same(2) + choose(2);
}

SEC("socket")
int back_kernel(struct __sk_buff *skb)
{
	return LINUX_HAS_BPF_COOKIE ? LINUX_KERNEL_VERSION : 0;
}

SEC("socket")
int back_tail(struct __sk_buff *skb)
{
	return 77;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
