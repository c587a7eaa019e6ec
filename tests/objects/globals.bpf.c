// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Global variables in every data section, and those that no one else may see. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

enum mode {
	MODE_OFF,
	MODE_ON,
};

struct limits {
	__u32 low;
	__u32 high;
};

const volatile __u64 min_duration_ns = 1000;
const volatile char target[16] = "init";
const volatile enum mode mode = MODE_ON;
volatile bool enabled = true;
struct limits limits = { .low = 1, .high = 0x1000 };
__u64 counters[4];
__u32 zero;
__s64 custom SEC(".data.custom") = -5;
const volatile __u16 port SEC(".rodata.net") = 8080;
__u32 late SEC(".bss.late");

__hidden __u32 secret = 7;
static volatile __u32 hits = 3;

SEC("socket")
int count(struct __sk_buff *skb)
{
	static __u32 calls;

	if (!enabled || mode == MODE_OFF)
		return 0;
	calls++;
	counters[calls % 4] += min_duration_ns;
	hits += secret;
	zero += limits.low + limits.high;
	custom -= port;
	late++;
	return zero + target[0];
}

SEC("socket")
int sum(struct __sk_buff *skb)
{
	return counters[0] + counters[1] + counters[2] + counters[3] + hits;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
