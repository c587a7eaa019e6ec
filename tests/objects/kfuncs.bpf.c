// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Kernel functions declared as the kernel has them, as an older or newer one might, as none has; and missing ones. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

#define KTHREADD 2 /* is there on every kernel, in the first PID namespace */

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

extern struct task_struct *bpf_task_from_pid___now(__s32 pid) __ksym __weak;
extern struct task_struct *bpf_task_from_pid___later(__s32 pid, struct task_struct *near) __ksym __weak;
extern struct task_struct *bpf_task_from_pid___wrong(__s32 pid, struct task_struct *near) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
extern int no_such_function(void) __ksym __weak;
extern const int runqueues __ksym;

/* Its first instruction is the call. */
static __noinline int call_what_is_missing(void)
{
	return no_such_function();
}

SEC("?syscall")
int flavours(void *ctx)
{
	struct task_struct *task;

	if (bpf_ksym_exists(bpf_task_from_pid___later)) {
		task = bpf_task_from_pid___later(KTHREADD, NULL);
		if (task)
			bpf_task_release(task);
		return 2;
	}
	if (bpf_ksym_exists(bpf_task_from_pid___now)) {
		task = bpf_task_from_pid___now(KTHREADD);
		if (!task)
			return -1;
		bpf_task_release(task);
		return 1;
	}
	return 0;
}

SEC("?syscall")
int wrong_prototype(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid___wrong(KTHREADD, NULL);

	if (task)
		bpf_task_release(task);
	return 0;
}

SEC("?syscall")
int guarded(void *ctx)
{
	if (bpf_ksym_exists(no_such_function))
		return call_what_is_missing();
	return 5;
}

SEC("?syscall")
int unguarded(void *ctx)
{
	return call_what_is_missing();
}

SEC("?raw_tp/sys_enter")
int wrong_variable(void *ctx)
{
	return *(const int *)bpf_per_cpu_ptr(&runqueues, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
