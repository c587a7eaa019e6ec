// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A perf event array: records say nothing of their type, so the object only holds it (through a variable). */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct sample {
	__u32 cpu;
	__u32 number;
	__u64 time_ns;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} samples SEC(".maps");

/* Keeps `struct sample` in the BTF: nothing else does. */
const struct sample *unused_sample __attribute__((unused));
__u32 number;

SEC("raw_tp/sys_enter")
int sample(void *ctx)
{
	struct sample sample = {
		.cpu = bpf_get_smp_processor_id(),
		.number = __sync_fetch_and_add(&number, 1),
		.time_ns = bpf_ktime_get_ns(),
	};
	bpf_get_current_comm(sample.comm, sizeof(sample.comm));
	bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &sample, sizeof(sample));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
