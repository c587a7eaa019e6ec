// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A scheduler that leaves every decision to sched_ext's defaults (one queue, first come first served), and counts. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct task_struct;
struct scx_exit_info;

struct sched_ext_ops___counting {
	void (*running)(struct task_struct *task);
	__s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
	__u64 flags;
	__u64 timeout_ms; /* 32 bits in the kernel */
	char name[32]; /* 128 in the kernel */
};

__u64 runs, inits, exits;

SEC("struct_ops/count_running")
void BPF_PROG(count_running, struct task_struct *task)
{
	__sync_fetch_and_add(&runs, 1);
}

SEC("struct_ops.s/count_init")
__s32 BPF_PROG(count_init)
{
	inits++;
	return 0;
}

SEC("struct_ops/count_exit")
void BPF_PROG(count_exit, struct scx_exit_info *info)
{
	exits++;
}

SEC(".struct_ops.link")
struct sched_ext_ops___counting scheduler = {
	.running = (void *)count_running,
	.init = (void *)count_init,
	.exit = (void *)count_exit,
	.timeout_ms = 25000,
	.name = "aiobpf_counting",
};

char LICENSE[] SEC("license") = "GPL";
