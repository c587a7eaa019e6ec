// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What a kernel has by name: configuration, symbols with and without a type, functions; strong and weak. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct rq {
	unsigned int nr_running;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

extern unsigned int LINUX_KERNEL_VERSION __kconfig;
extern unsigned long CONFIG_HZ __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_IPV6 __kconfig;
extern char CONFIG_CC_VERSION_TEXT[64] __kconfig;
extern bool CONFIG_NO_SUCH_OPTION __kconfig __weak;

extern const struct rq runqueues __ksym;
extern const void schedule __ksym;
extern const void no_such_symbol __ksym __weak;

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
extern int no_such_function(int x) __ksym __weak;

__u64 seen[6];

SEC("raw_tp/sys_enter")
int configuration(void *ctx)
{
	seen[0] = LINUX_KERNEL_VERSION;
	seen[1] = CONFIG_HZ;
	seen[2] = CONFIG_BPF_SYSCALL;
	seen[3] = CONFIG_IPV6;
	seen[4] = CONFIG_CC_VERSION_TEXT[0];
	seen[5] = CONFIG_NO_SUCH_OPTION;
	return 0;
}

SEC("raw_tp/sys_enter")
int symbols(void *ctx)
{
	const struct rq *rq = bpf_per_cpu_ptr(&runqueues, 0);
	if (rq)
		seen[0] = rq->nr_running;
	seen[1] = (__u64)&schedule;
	seen[2] = (__u64)&no_such_symbol;
	return 0;
}

SEC("syscall")
int functions(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);
	if (task)
		bpf_task_release(task);
	if (bpf_ksym_exists(no_such_function))
		return no_such_function(1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
