// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Code for kernels that lack what it needs, behind checks of every kind. Those in section "?" have no check that holds,
 * and load on no kernel.
 */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct {
	int pid;
	int no_such_field;
} __attribute__((preserve_access_index));

struct no_such_struct {
	int field;
} __attribute__((preserve_access_index));

enum bpf_func_id___some {
	BPF_FUNC_no_such_helper___some = 5000,
};

extern unsigned int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_NO_SUCH_OPTION __kconfig __weak;
extern int no_such_function(int x) __ksym __weak;
extern const void no_such_symbol __ksym __weak;

const volatile bool is_wanted = false;
const volatile bool is_unwanted = true;
const volatile int level = 3;
int runtime;

static int (*no_such_helper)(void) = (void *)5000;

#define task ((struct task_struct *)bpf_get_current_task())

SEC("raw_tp/sys_enter")
int by_field(void *ctx)
{
	if (bpf_core_field_exists(struct task_struct, no_such_field))
		runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("raw_tp/sys_enter")
int by_either(void *ctx)
{
	if (bpf_core_type_exists(struct no_such_struct) && runtime)
		runtime = BPF_CORE_READ((struct no_such_struct *)ctx, field);
	else if (runtime > 7 && bpf_core_field_exists(struct task_struct, no_such_field))
		runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("raw_tp/sys_enter")
int by_constant(void *ctx)
{
	if (is_wanted)
		runtime = BPF_CORE_READ(task, no_such_field);
	if (!is_unwanted || level > 5)
		runtime = BPF_CORE_READ((struct no_such_struct *)ctx, field);
	return 0;
}

SEC("raw_tp/sys_enter")
int by_version(void *ctx)
{
	if (LINUX_KERNEL_VERSION < 0x040000)
		runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("raw_tp/sys_enter")
int by_option(void *ctx)
{
	if (CONFIG_NO_SUCH_OPTION)
		runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("raw_tp/sys_enter")
int by_helper(void *ctx)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id___some, BPF_FUNC_no_such_helper___some))
		runtime = no_such_helper();
	return 0;
}

SEC("raw_tp/sys_enter")
int by_symbol(void *ctx)
{
	if (&no_such_symbol)
		runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("syscall")
int by_kfunc(void *ctx)
{
	if (bpf_ksym_exists(no_such_function))
		return no_such_function(1);
	return 0;
}

static __noinline int has_field(int also)
{
	if (!bpf_core_field_exists(struct task_struct, no_such_field))
		return 0;
	return also ? 2 : 1;
}

SEC("raw_tp/sys_enter")
int by_function(void *ctx)
{
	if (has_field(runtime))
		runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

static __noinline int read_field(int have)
{
	if (!have)
		return 0;
	return BPF_CORE_READ(task, no_such_field);
}

SEC("raw_tp/sys_enter")
int by_argument(void *ctx)
{
	runtime = read_field(bpf_core_field_exists(struct task_struct, no_such_field));
	return 0;
}

SEC("raw_tp/sys_enter")
int by_spilled(void *ctx)
{
	volatile __u64 have = bpf_core_field_exists(struct task_struct, no_such_field);
	char comm[16];

	bpf_get_current_comm(comm, sizeof(comm));
	if (have)
		runtime = BPF_CORE_READ(task, no_such_field);
	return comm[0] == 'a';
}

SEC("raw_tp/sys_enter")
int by_loop(void *ctx)
{
	for (int i = 0; i < 4; i++) {
		if (bpf_core_field_exists(struct task_struct, no_such_field))
			runtime += BPF_CORE_READ(task, no_such_field);
		else
			runtime += i;
	}
	return 0;
}

SEC("?raw_tp/sys_enter")
int unguarded_field(void *ctx)
{
	runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("?raw_tp/sys_enter")
int unguarded_at_run_time(void *ctx)
{
	if (runtime == 5)
		runtime = BPF_CORE_READ((struct no_such_struct *)ctx, field);
	return 0;
}

SEC("?raw_tp/sys_enter")
int unguarded_by_constant(void *ctx)
{
	if (!is_wanted)
		runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("?raw_tp/sys_enter")
int unguarded_by_version(void *ctx)
{
	if (LINUX_KERNEL_VERSION >= 0x040000)
		runtime = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("?raw_tp/sys_enter")
int unguarded_helper(void *ctx)
{
	return no_such_helper();
}

SEC("?syscall")
int unguarded_kfunc(void *ctx)
{
	return no_such_function(1);
}

SEC("?raw_tp/sys_enter")
int unguarded_argument(void *ctx)
{
	runtime = read_field(!bpf_core_field_exists(struct task_struct, no_such_field));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
