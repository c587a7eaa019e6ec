// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The version that runs; reload_second.bpf.c takes its place. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct stats {
	__u32 count;
	__u32 bytes;
};

struct event {
	__u32 version;
	__u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct stats);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} by_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} untouched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
	__type(value, struct event);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

const volatile __u32 version = 1;
__u32 runs;
__u32 step = 1;
__u32 numbered;

static int count(struct __sk_buff *skb)
{
	__u32 zero = 0, key = 7, this_one = version, *mine;
	struct stats *stats = bpf_map_lookup_elem(&flows, &key);
	__u64 *seen;

	if (stats) {
		__sync_fetch_and_add(&stats->count, step);
		__sync_fetch_and_add(&stats->bytes, skb->len);
	}
	mine = bpf_map_lookup_elem(&by_cpu, &zero);
	if (mine)
		*mine += 1;
	seen = bpf_map_lookup_elem(&untouched, &this_one);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	__sync_fetch_and_add(&runs, 1);
	return version;
}

SEC("socket")
int on_packet(struct __sk_buff *skb)
{
	return count(skb);
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	count(skb);
	return 1;
}

SEC("raw_tp/sys_enter")
int on_syscall(void *ctx)
{
	struct event *event;

	if (!numbered)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	event->version = version;
	event->number = numbered;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("socket")
int target(struct __sk_buff *skb)
{
	return 10 + version;
}

SEC("socket")
int jump(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jumps, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
