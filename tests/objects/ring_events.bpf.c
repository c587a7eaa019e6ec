// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A ring buffer whose event has every shape of field that a codec must know. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

enum state {
	STATE_IDLE = 0,
	STATE_BUSY = 1,
	STATE_GONE = -1,
};

enum wide {
	WIDE_SMALL = 1,
	WIDE_LARGE = 0x123456789abcULL,
};

struct point {
	__s16 x;
	__s16 y;
};

struct event {
	__u64 timestamp_ns;
	__u32 number;
	enum state state;
	struct point points[2];
	union {
		__u32 address;
		__u8 octets[4];
	};
	__u32 version : 4;
	__u32 length : 12;
	__s32 delta : 16;
	char comm[16];
	__u8 digest[8];
	void *pointer;
	bool is_last;
	enum wide wide;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
	__type(value, struct event);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} untyped SEC(".maps");

__u32 produced;
const volatile __u32 burst = 1;

/* Runs by BPF_PROG_TEST_RUN: no interface and no event of the kernel is needed. */
SEC("socket")
int produce(struct __sk_buff *skb)
{
	for (__u32 i = 0; i < burst && i < 4096; i++) {
		struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (!event)
			return 1;
		event->timestamp_ns = 0x1122334455667788ULL;
		event->number = produced++;
		event->state = i % 2 ? STATE_BUSY : STATE_GONE;
		event->points[0].x = 1;
		event->points[0].y = -2;
		event->points[1].x = 3;
		event->points[1].y = -4;
		event->address = 0x0100007f;
		event->version = 6;
		event->length = 1500;
		event->delta = -7;
		__builtin_memset(event->comm, 0, sizeof(event->comm));
		event->comm[0] = 'r'; /* not the task's: before 6.18 a socket filter may not ask for it (seen in 6.12) */
		__builtin_memset(event->digest, 0xab, sizeof(event->digest));
		event->pointer = (void *)0xffff800000001000ULL;
		event->is_last = i + 1 == burst;
		event->wide = WIDE_LARGE;
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

SEC("socket")
int produce_untyped(struct __sk_buff *skb)
{
	__u64 word = 0x0807060504030201ULL;
	return bpf_ringbuf_output(&untyped, &word, sizeof(word), 0) != 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
