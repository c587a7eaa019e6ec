// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What hangs on functions of the kernel and on its security hooks. Each acts for one thread alone: that of `thread`. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define EPERM 1

struct task_struct {
	int pid;
	int tgid;
	struct task_struct *real_parent;
} __attribute__((preserve_access_index));

extern bool bpf_session_is_return(void *ctx) __ksym __weak;

/* (process << 32) | thread; 0 for all. */
__u64 thread;
/* What the hooks of security answer: 1 for no. */
__u64 is_denied;
/* An address of user memory. */
__u64 user;

__u64 count;
__u64 returns;
__s64 first;
__s64 second;
__s64 result;
char text[16];

static __always_inline int is_ours(void)
{
	return !thread || bpf_get_current_pid_tgid() == thread;
}

/* --- fentry and its kin --- */

SEC("?fexit/bpf_fentry_test2")
int BPF_PROG(see_arguments, int a, __u64 b, int ret)
{
	first = a;
	second = b;
	result = ret;
	return 0;
}

SEC("?fentry.s/__x64_sys_getpgid")
int copy_in_fentry(__u64 *ctx)
{
	if (!is_ours())
		return 0;
	count++;
	return bpf_copy_from_user(text, sizeof(text), (void *)user) ? 0 : 0;
}

SEC("?fsession/do_getpgid")
int see_both(__u64 *ctx)
{
	if (is_ours())
		count++;
	return 0;
}

SEC("?fentry.multi/do_getp*id")
int see_many(__u64 *ctx)
{
	if (is_ours())
		count++;
	return 0;
}

SEC("?fexit.multi/do_getp*id")
int see_many_returns(__u64 *ctx)
{
	if (is_ours())
		returns++;
	return 0;
}

SEC("?fsession.multi/do_getp*id")
int see_both_of_many(__u64 *ctx)
{
	if (is_ours())
		count++;
	return 0;
}

SEC("?fentry.multi/veth:veth_xmi*")
int see_module(__u64 *ctx)
{
	count++;
	return 0;
}

SEC("?fmod_ret/bpf_modify_return_test")
int BPF_PROG(change_test, int a, int *b, int ret)
{
	count++;
	return 1260;
}

SEC("?fmod_ret/security_file_open")
int BPF_PROG(change_open, void *file, int ret)
{
	if (!is_ours() || !is_denied)
		return 0;
	count++;
	return -EPERM;
}

/* --- security hooks --- */

SEC("?lsm/file_open")
int BPF_PROG(deny_open, void *file, int ret)
{
	if (!is_ours() || !is_denied)
		return ret;
	count++;
	return -EPERM;
}

SEC("?lsm.s/bprm_committed_creds")
int BPF_PROG(see_exec, void *bprm)
{
	__sync_fetch_and_add(&count, 1);
	return 0;
}

SEC("?lsm.s/file_open")
int BPF_PROG(copy_in_open, void *file, int ret)
{
	if (is_ours() && is_denied) {
		count++;
		bpf_copy_from_user(text, sizeof(text), (void *)user);
	}
	return ret;
}

SEC("?lsm_cgroup/socket_bind")
int BPF_PROG(deny_bind, void *sock, void *address, int length)
{
	__sync_fetch_and_add(&count, 1);
	return !is_denied;
}

/* --- tracepoints and probes --- */

SEC("?tp_btf/task_newtask")
int BPF_PROG(see_task, struct task_struct *task, __u64 clone_flags)
{
	if (is_ours()) {
		count++;
		first = task->pid;
	}
	return 0;
}

SEC("?tracepoint/sched/sched_process_exec")
int see_process(void *ctx)
{
	__sync_fetch_and_add(&count, 1);
	return 0;
}

SEC("?ksyscall/getpgid")
int BPF_KSYSCALL(see_call, int pid)
{
	if (is_ours()) {
		count++;
		first = pid;
	}
	return 0;
}

SEC("?kprobe/do_sys_openat2")
int BPF_KPROBE(see_open, int dfd)
{
	if (is_ours() && is_denied) {
		count++;
		first = dfd;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
