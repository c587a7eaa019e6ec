// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Variables of every kind of type that BTF has learnt since the kernel first took it, and a map with some of them. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

enum wide {
	WIDE_ONE = 1,
	WIDE_FAR = 1ULL << 40,
};

enum below {
	BELOW_ZERO = -1,
	BELOW_ONE = 1,
};

struct bits {
	__u32 low : 3;
	__s32 high : 5;
	double ratio;
	enum wide wide;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bits);
} table SEC(".maps");

double ratio = 0.5;
enum wide wide = WIDE_FAR;
enum below below = BELOW_ZERO;
struct bits bits = { .low = 5, .high = -2 };
int __attribute__((btf_type_tag("aiobpf"))) *pointer;
int counted __attribute__((btf_decl_tag("aiobpf:counter")));

__noinline int global(int number)
{
	barrier_var(number);
	return number * 2;
}

SEC("socket")
int use(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct bits *found = bpf_map_lookup_elem(&table, &key);

	if (found)
		found->wide = WIDE_FAR;
	counted++;
	return global(counted) + (wide == WIDE_FAR) + (below == BELOW_ZERO) + (pointer != NULL);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
