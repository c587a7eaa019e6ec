// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* XDP programs that send packets on through a map, and those that run behind it; each counts what it sees. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct bpf_devmap_val {
	__u32 ifindex;
	__u32 program;
};

struct bpf_cpumap_val {
	__u32 qsize;
	__u32 program;
};

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

__u64 redirected, behind_device, behind_cpu, passed, in_fragments;

SEC("xdp")
int to_device(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&redirected, 1);
	return bpf_redirect_map(&devices, 0, 0);
}

SEC("xdp/devmap")
int on_device(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&behind_device, 1);
	return XDP_PASS;
}

SEC("xdp")
int to_cpu(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&redirected, 1);
	return bpf_redirect_map(&cpus, 0, 0);
}

SEC("xdp/cpumap")
int on_cpu(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&behind_cpu, 1);
	return XDP_PASS;
}

SEC("xdp")
int to_socket(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&redirected, 1);
	/* Since 5.3 the low bits of the flags are the verdict where the map has no socket. */
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&passed, 1);
	return XDP_PASS;
}

SEC("?xdp.frags")
int pass_fragments(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&in_fragments, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
