// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The stacks that each CPU is in when its clock ticks, counted; and who is seen for the first time. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/lost_events.h>

struct stack {
	__u32 pid;
	__s32 user;
	__s32 kernel;
	char comm[16];
};

struct newcomer {
	__u32 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct stack);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__uint(key_size, 4);
	__uint(value_size, 127 * 8);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u8);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
	__type(value, struct newcomer);
} newcomers SEC(".maps");
LOST_EVENTS(newcomers);

SEC("perf_event")
int on_tick(void *ctx)
{
	struct stack key = { .pid = bpf_get_current_pid_tgid() >> 32 };
	__u64 one = 1, *count;
	__u8 known = 1;

	if (!key.pid) /* idle */
		return 0;
	key.user = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	key.kernel = bpf_get_stackid(ctx, &stacks, 0);
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	count = bpf_map_lookup_elem(&counts, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_NOEXIST);
	if (!bpf_map_update_elem(&seen, &key.pid, &known, BPF_NOEXIST)) {
		struct newcomer *newcomer = reserve_or_count(newcomers, struct newcomer);

		if (newcomer) {
			newcomer->pid = key.pid;
			bpf_ringbuf_submit(newcomer, 0);
		}
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
