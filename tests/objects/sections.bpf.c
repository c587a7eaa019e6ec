// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One program of each kind that the section's name attaches. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

struct file;

__u64 hits[16];

SEC("xdp")
int on_xdp(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&hits[0], 1);
	return XDP_PASS;
}

SEC("tc")
int on_tc(struct __sk_buff *skb)
{
	__sync_fetch_and_add(&hits[1], 1);
	return TC_ACT_OK;
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	__sync_fetch_and_add(&hits[2], 1);
	return 1;
}

SEC("cgroup/connect4")
int on_connect(struct bpf_sock_addr *ctx)
{
	__sync_fetch_and_add(&hits[3], 1);
	return 1;
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int on_getpid(struct syscall_trace_enter *ctx)
{
	__sync_fetch_and_add(&hits[4], 1);
	return 0;
}

SEC("raw_tp/sched_switch")
int on_switch(struct bpf_raw_tracepoint_args *ctx)
{
	__sync_fetch_and_add(&hits[5], 1);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, __u32 old_pid)
{
	__sync_fetch_and_add(&hits[6], task->pid == old_pid);
	return 0;
}

SEC("kprobe/vfs_read")
int BPF_KPROBE(on_read, struct file *file, char *buffer, size_t count)
{
	__sync_fetch_and_add(&hits[7], count);
	return 0;
}

SEC("kretprobe/vfs_read")
int BPF_KRETPROBE(on_read_return, long result)
{
	__sync_fetch_and_add(&hits[8], result);
	return 0;
}

SEC("uprobe//proc/self/exe:main+0x4")
int BPF_UPROBE(on_main)
{
	__sync_fetch_and_add(&hits[9], 1);
	return 0;
}

SEC("uretprobe")
int BPF_URETPROBE(on_return, int result)
{
	__sync_fetch_and_add(&hits[10], result);
	return 0;
}

SEC("fentry/vfs_write")
int BPF_PROG(on_write, struct file *file, const char *buffer, size_t count)
{
	__sync_fetch_and_add(&hits[11], count);
	return 0;
}

SEC("fexit/vfs_write")
int BPF_PROG(on_written, struct file *file, const char *buffer, size_t count, void *position, long result)
{
	__sync_fetch_and_add(&hits[12], result);
	return 0;
}

SEC("?raw_tp/sys_enter")
int optional(struct bpf_raw_tracepoint_args *ctx)
{
	return 0;
}

SEC("my_own/section")
int untyped(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
__u32 VERSION SEC("version") = KERNEL_VERSION(5, 10, 1);
