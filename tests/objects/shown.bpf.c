// One system call seen through each way out of a program: a ring buffer, a perf event array, a stack trace map.
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct call {
	__u64 argument;
	__u32 pid;
};

struct sys_enter {
	__u64 common;
	__s32 number;
	__s32 padding;
	__u64 arguments[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct call);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__uint(key_size, 4);
	__uint(value_size, 127 * 8);
} stacks SEC(".maps");

int wanted;
int user_stack = -1;
int kernel_stack = -1;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct sys_enter *ctx)
{
	struct call call = {};

	if (bpf_get_current_pid_tgid() >> 32 != wanted)
		return 0;
	call.argument = ctx->arguments[0];
	call.pid = wanted;
	bpf_ringbuf_output(&ring, &call, sizeof(call), 0);
	bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &call, sizeof(call));
	return 0;
}

/* Not above: until long after 5.10 a system call's tracepoint has the registers of user space, and no kernel stack. */
SEC("raw_tp/sys_enter")
int on_any(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 != wanted)
		return 0;
	user_stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK | BPF_F_REUSE_STACKID);
	kernel_stack = bpf_get_stackid(ctx, &stacks, BPF_F_REUSE_STACKID);
	return 0;
}
