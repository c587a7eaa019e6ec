// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* CO-RE relocations of every kind, flavours, and the reads of bpf_core_read.h. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct mm_struct {
	unsigned long total_vm;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
	struct task_struct *real_parent;
	struct mm_struct *mm;
	unsigned sched_reset_on_fork : 1;
	unsigned in_execve : 1;
	int exit_state;
} __attribute__((preserve_access_index));

/* `state` was renamed `__state` in 5.14 (2f064a59a11f): whichever is there. */
struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

struct task_struct___new {
	unsigned int __state;
} __attribute__((preserve_access_index));

struct no_such_struct {
	int field;
} __attribute__((preserve_access_index));

enum bpf_map_type___some {
	BPF_MAP_TYPE_RINGBUF___some = 27,
	BPF_MAP_TYPE_NO_SUCH___some = 1000,
};

struct answer {
	__u32 parent;
	__u32 pid;
	__u64 total_vm;
	__s64 state;
	char comm[16];
	__u32 flags;
	__u32 bits;
	__u64 numbers[8];
};

struct answer answer;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	answer.parent = BPF_CORE_READ(task, real_parent, tgid);
	answer.pid = BPF_CORE_READ(task, pid);
	answer.total_vm = BPF_CORE_READ(task, mm, total_vm);
	BPF_CORE_READ_STR_INTO(&answer.comm, task, comm);
	answer.bits = BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork) << 1 |
		      BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
	if (bpf_core_field_exists(struct task_struct___new, __state))
		answer.state = BPF_CORE_READ((struct task_struct___new *)task, __state);
	else
		answer.state = BPF_CORE_READ((struct task_struct___old *)task, state);
	answer.flags = bpf_core_type_exists(struct mm_struct) | bpf_core_type_exists(struct no_such_struct) << 1 |
		       bpf_core_enum_value_exists(enum bpf_map_type___some, BPF_MAP_TYPE_RINGBUF___some) << 2 |
		       bpf_core_enum_value_exists(enum bpf_map_type___some, BPF_MAP_TYPE_NO_SUCH___some) << 3 |
		       bpf_core_type_matches(struct mm_struct) << 4;
	answer.numbers[0] = bpf_core_type_size(struct task_struct);
	answer.numbers[1] = bpf_core_field_offset(struct task_struct, real_parent);
	answer.numbers[2] = bpf_core_field_size(struct task_struct, comm);
	answer.numbers[3] = bpf_core_enum_value(enum bpf_map_type___some, BPF_MAP_TYPE_RINGBUF___some);
	answer.numbers[4] = bpf_core_type_id_local(struct answer);
	answer.numbers[5] = bpf_core_type_id_kernel(struct task_struct);
	answer.numbers[6] = bpf_core_field_exists(struct no_such_struct, field);
	return 0;
}

/* A subprogram whose first instruction has no answer in any kernel: it must keep its name when it is poisoned. */
static __noinline int missing(struct no_such_struct *object)
{
	return object->field;
}

SEC("raw_tp/sys_enter")
int guarded(void *ctx)
{
	if (bpf_core_field_exists(struct no_such_struct, field))
		return missing(ctx);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
