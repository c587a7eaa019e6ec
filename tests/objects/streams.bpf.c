// A ring buffer whose losses the program counts, by aiobpf's own header, and one that counts in a variable.
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/lost_events.h>

char LICENSE[] SEC("license") = "GPL";

struct event {
	__u64 number;
	__u64 rest[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} events SEC(".maps");
LOST_EVENTS(events);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} others SEC(".maps");

__u64 others_lost;
__u64 produced;

SEC("socket")
int reserve(struct __sk_buff *skb)
{
	struct event *e = reserve_or_count(events, struct event);

	produced++;
	if (!e)
		return 0;
	e->number = produced;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("socket")
int output(struct __sk_buff *skb)
{
	struct event e = { .number = ++produced };

	return output_or_count(events, &e, sizeof(e), 0) != 0;
}

SEC("socket")
int output_other(struct __sk_buff *skb)
{
	struct event e = { .number = ++produced };

	if (bpf_ringbuf_output(&others, &e, sizeof(e), 0))
		others_lost++;
	return 0;
}
