// Two ring buffers whose events say when they were made, and when others were.
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct timed {
	__u64 time_ns;
	__u64 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
	__type(value, struct timed);
} left SEC(".maps"), right SEC(".maps");

__u64 made;

#define MAKE(ring)                                                       \
	({                                                               \
		struct timed e = { .time_ns = bpf_ktime_get_ns(), .number = made++ }; \
		bpf_ringbuf_output(&ring, &e, sizeof(e), 0);             \
	})

SEC("raw_tp/sys_enter")
int make_left(void *ctx)
{
	return MAKE(left);
}

SEC("raw_tp/sys_enter")
int make_right(void *ctx)
{
	return MAKE(right);
}
