// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Constants that no program uses, and that tools show beside each: what the name begins with says so. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

const volatile char bpf_metadata_version[8] = "1.2";
const volatile __u32 bpf_metadata_build = 42;
const volatile __u32 not_metadata = 7;

SEC("socket")
int nothing(struct __sk_buff *skb)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
