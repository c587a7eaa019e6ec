// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One function twice: hidden, so verified with what its caller passes, and global, so verified by its prototype. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

__hidden __noinline int read_hidden(int *number)
{
	return *number;
}

__noinline int read_global(int *number)
{
	return *number; /* refused: it may be NULL, and before 5.13 no pointer is taken at all */
}

SEC("socket")
int with_hidden(struct __sk_buff *skb)
{
	int number = 11;

	barrier_var(number);
	return read_hidden(&number);
}

SEC("?socket")
int with_global(struct __sk_buff *skb)
{
	int number = 11;

	barrier_var(number);
	return read_global(&number);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
