// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A work queue in a map's value (6.10): its callback runs in a kernel thread, later. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct job {
	struct bpf_wq work;
	__u64 done;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct job);
} jobs SEC(".maps");

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __ksym;
/* The verifier fills in the last argument of the one (6.10), and hides it from callers of the other (7.0). */
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *map, int *key, void *value),
				    unsigned int flags, void *aux__prog) __ksym __weak;
extern int bpf_wq_set_callback(struct bpf_wq *wq, int (*callback)(void *map, int *key, void *value),
			       unsigned int flags) __ksym __weak;

static int run_job(void *map, int *key, void *value)
{
	struct job *job = value;

	job->done++;
	return 0;
}

SEC("tc")
int give_work(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct job *job = bpf_map_lookup_elem(&jobs, &key);

	if (!job)
		return -1;
	if (bpf_wq_init(&job->work, &jobs, 0))
		return -2;
	if (bpf_ksym_exists(bpf_wq_set_callback)) {
		if (bpf_wq_set_callback(&job->work, run_job, 0))
			return -3;
	} else if (bpf_wq_set_callback_impl(&job->work, run_job, 0, NULL)) {
		return -4;
	}
	return bpf_wq_start(&job->work, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
