// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Every program that a process executes, and how that execution ended.
 *
 * tp_btf needs no tracefs and follows the kernel's pointers itself; only strings take a helper. The fields used are
 * declared here and found in the running kernel by CO-RE. Loads on 5.10 and up: no helper is newer than 5.8.
 */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

#define FILENAME_SIZE 256
#define ARGV_SIZE 512
#define EXIT_SIZE offsetof(struct event, argv)

/* wait(2)'s status: the kernel keeps it in signal->group_exit_code once the whole group is told to go. */
#define SIGNAL_GROUP_EXIT 0x4

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
};

struct signal_struct {
	struct {
		int counter;
	} live;
	unsigned int flags;
	int group_exit_code;
};

struct task_struct {
	int tgid;
	int exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct signal_struct *signal;
};

struct linux_binprm {
	const char *filename;
};
#pragma clang attribute pop

enum kind {
	EXEC,
	EXIT,
};

/*
 * One execve(2) that succeeded, or the end of a process that did one. Both share a ring, so that they come in order;
 * the record of an exit stops before argv. Ids are of the initial namespaces, time_ns is CLOCK_MONOTONIC.
 */
struct event {
	__u64 time_ns;
	__u64 duration_ns; /* exit: since the last execve(2) */
	enum kind kind;
	__u32 pid;
	__u32 ppid;
	__u32 uid;
	__u32 exit_code; /* exit: 0 if a signal ended it */
	__u32 signal;	 /* exit: 0 if it ended by itself */
	bool core_dumped;
	bool argv_truncated;
	__u16 argv_size; /* exec: bytes of argv in use, each argument ended by a NUL */
	char comm[16];
	char filename[FILENAME_SIZE];
	__u8 argv[ARGV_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
	__type(value, struct event);
} events SEC(".maps");

/* When each process was last seen to execute: LRU, so that processes whose exit went unseen cannot fill it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, __u64);
} started SEC(".maps");

/* Chosen before load. */
const volatile __s64 only_uid = -1;	    /* this user's processes; -1: everyone's */
const volatile __u64 min_duration_ns = 0; /* exits of executions that took at least this long */

/* Live. */
bool enabled = true; /* false: nothing is reported */
__u64 lost_events = 0; /* that found no room in the ring */

static __always_inline bool is_wanted(__u32 uid)
{
	return enabled && (only_uid < 0 || only_uid == uid);
}

SEC("tp_btf/sched_process_exec")
int on_exec(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx[2];
	__u64 now = bpf_ktime_get_ns();
	__u32 uid = bpf_get_current_uid_gid();
	__u32 pid = task->tgid;
	struct event *event;
	struct mm_struct *mm;

	if (!is_wanted(uid))
		return 0;
	bpf_map_update_elem(&started, &pid, &now, BPF_ANY);

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&lost_events, 1);
		return 0;
	}
	/* The ring hands out what an older record left behind. */
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = now;
	event->kind = EXEC;
	event->pid = pid;
	event->ppid = task->real_parent->tgid;
	event->uid = uid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_probe_read_kernel_str(event->filename, sizeof(event->filename), bprm->filename);

	mm = task->mm;
	if (mm) {
		unsigned long start = mm->arg_start;
		unsigned long size = mm->arg_end - start;

		if (size > ARGV_SIZE) {
			size = ARGV_SIZE;
			event->argv_truncated = true;
		}
		/* The pages were written by this very execve: they are there. */
		if (!bpf_probe_read_user(event->argv, size, (void *)start))
			event->argv_size = size;
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int on_exit(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	__u64 now = bpf_ktime_get_ns();
	__u32 pid = task->tgid;
	struct signal_struct *signal = task->signal;
	struct event *event;
	__u64 *since, duration;
	int status;

	/* The tracepoint is of threads (its group_dead argument is newer: 6.16): a process ends with its last one. */
	if (signal->live.counter > 0)
		return 0;
	since = bpf_map_lookup_elem(&started, &pid);
	if (!since)
		return 0;
	duration = now - *since;
	/* Two last threads may both see no one alive: only one of them finds the entry to delete. */
	if (bpf_map_delete_elem(&started, &pid) || duration < min_duration_ns || !enabled)
		return 0;

	event = bpf_ringbuf_reserve(&events, EXIT_SIZE, 0);
	if (!event) {
		__sync_fetch_and_add(&lost_events, 1);
		return 0;
	}
	status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->group_leader->exit_code;
	__builtin_memset(event, 0, EXIT_SIZE);
	event->time_ns = now;
	event->duration_ns = duration;
	event->kind = EXIT;
	event->pid = pid;
	event->ppid = task->real_parent->tgid;
	event->uid = bpf_get_current_uid_gid();
	event->exit_code = status >> 8 & 0xff;
	event->signal = status & 0x7f;
	event->core_dumped = status & 0x80;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
