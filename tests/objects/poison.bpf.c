// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A function whose first instruction reads a field that no kernel has: CO-RE poisons it, and it stays a function. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct {
	int no_such_field;
} __attribute__((preserve_access_index));

static __noinline int read_what_is_missing(struct task_struct *task)
{
	return task->no_such_field;
}

SEC("?raw_tp/sys_enter")
int guarded_field(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (bpf_core_field_exists(task->no_such_field))
		return read_what_is_missing(task);
	return 5;
}

SEC("?raw_tp/sys_enter")
int unguarded_field(void *ctx)
{
	return read_what_is_missing((void *)bpf_get_current_task());
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
