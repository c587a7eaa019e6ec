// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Compiled without -g: no BTF, so variables have names and bytes, and no types. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 step = 2;
__u64 count;

static __noinline __u64 twice(__u64 x)
{
	barrier_var(x);
	return x * step;
}

SEC("xdp")
int advance(struct xdp_md *ctx)
{
	count += twice(1);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
