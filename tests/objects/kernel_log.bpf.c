// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Programs that say something: to the trace, to their own streams, to a ring buffer with levels. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/log_ring.h>

LOG_RING(messages, 4096);

__u32 number = 7;
int printed;

SEC("socket")
int to_trace(struct __sk_buff *skb)
{
	bpf_printk("hello %d", number);
	bpf_printk("<4>careful %d", number);
	return 0;
}

SEC("?syscall")
int to_streams(void *ctx)
{
	printed = bpf_stream_printk(1, "hello %d\n", number);
	bpf_stream_printk(2, "<3>wrong %d\n", number);
	return 0;
}

SEC("?socket")
int to_ring(struct __sk_buff *skb)
{
	log_debug(messages, "a detail of %d", number);
	log_info(messages, "hello %d", number);
	log_error(messages, "wrong %d: %s", number, "really");
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
