// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What each CPU runs when its clock ticks, through a perf buffer. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct sample {
	__u64 time_ns;
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__u32 cpu;
	char comm[16];
};

/* A perf event array does not say what it carries: this keeps the type in the object's BTF. */
const struct sample *sample_type __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} samples SEC(".maps");

SEC("perf_event")
int on_tick(void *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct sample sample = {
		.time_ns = bpf_ktime_get_ns(),
		.pid = id >> 32,
		.tid = id,
		.uid = bpf_get_current_uid_gid(),
		.cpu = bpf_get_smp_processor_id(),
	};

	if (!sample.pid) /* idle */
		return 0;
	bpf_get_current_comm(sample.comm, sizeof(sample.comm));
	bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &sample, sizeof(sample));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
