// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The stacks of a process at one of its system calls: by id, by build ids, and as bytes. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

#define DEPTH 32

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, DEPTH * 8);
} stacks SEC(".maps");

/* Of its own: a stack takes the place of another whose hash is the same. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, DEPTH * 8);
} kernel_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_STACK_BUILD_ID);
	__uint(key_size, 4);
	__uint(value_size, DEPTH * 32);
} build_ids SEC(".maps");

__u32 target;
long number;
long user_id = -1, kernel_id = -1, build_id = -1, bytes = -1;
__u64 addresses[DEPTH];

SEC("raw_tp/sys_enter")
int at_system_call(__u64 *ctx)
{
	if (!target || bpf_get_current_pid_tgid() >> 32 != target || ctx[1] != number)
		return 0;
	bytes = bpf_get_stack(ctx, addresses, sizeof(addresses), BPF_F_USER_STACK);
	kernel_id = bpf_get_stackid(ctx, &kernel_stacks, BPF_F_REUSE_STACKID);
	build_id = bpf_get_stackid(ctx, &build_ids, BPF_F_USER_STACK | BPF_F_REUSE_STACKID);
	user_id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK | BPF_F_REUSE_STACKID);
	target = 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
