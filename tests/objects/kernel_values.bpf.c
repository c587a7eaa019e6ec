// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What the kernel finds in a map's values by their BTF (a timer, a spin lock), and addresses of its own symbols. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

#define CLOCK_MONOTONIC 1

struct alarm {
	struct bpf_timer timer;
	__u64 rung;
};

struct pair {
	struct bpf_spin_lock lock;
	__u32 first;
	__u32 second;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct alarm);
} alarms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct pair);
} pairs SEC(".maps");

extern const void schedule __ksym;
extern const void no_such_symbol __ksym __weak;

__u64 delay_ns = 1000000;
__u64 addresses[2];

static int ring(void *map, __u32 *key, struct alarm *alarm)
{
	alarm->rung++;
	return 0;
}

SEC("tc")
int set_alarm(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct alarm *alarm = bpf_map_lookup_elem(&alarms, &key);

	if (!alarm)
		return -1;
	if (bpf_timer_init(&alarm->timer, &alarms, CLOCK_MONOTONIC))
		return -2;
	if (bpf_timer_set_callback(&alarm->timer, ring))
		return -3;
	return bpf_timer_start(&alarm->timer, delay_ns, 0);
}

SEC("tc")
int count_twice(struct __sk_buff *skb)
{
	__u32 key = 7;
	struct pair *pair = bpf_map_lookup_elem(&pairs, &key);

	if (!pair)
		return -1;
	bpf_spin_lock(&pair->lock);
	pair->first++;
	pair->second++;
	bpf_spin_unlock(&pair->lock);
	return 0;
}

SEC("tc")
int take_addresses(struct __sk_buff *skb)
{
	addresses[0] = (__u64)&schedule;
	addresses[1] = (__u64)&no_such_symbol;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
