// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Packets and bytes by the address that sent them, counted before the network stack sees them. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct address {
	__u8 bytes[16]; /* IPv6, or IPv4 mapped into it (::ffff:a.b.c.d) */
};

struct counters {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct address);
	__type(value, struct counters);
} peers SEC(".maps");

SEC("xdp")
int count_peer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct counters *counters, first = { 1, end - data };
	struct ethhdr *ethernet = data;
	struct iphdr *ipv4 = (void *)(ethernet + 1);
	struct ipv6hdr *ipv6 = (void *)(ethernet + 1);
	struct address from = {};

	if ((void *)(ethernet + 1) > end)
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP) && (void *)(ipv4 + 1) <= end) {
		from.bytes[10] = from.bytes[11] = 0xff;
		__builtin_memcpy(from.bytes + 12, &ipv4->saddr, 4);
	} else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(ipv6 + 1) <= end) {
		__builtin_memcpy(from.bytes, &ipv6->saddr, 16);
	} else {
		return XDP_PASS;
	}

	counters = bpf_map_lookup_elem(&peers, &from);
	/* BPF_NOEXIST: on another CPU the same peer may just have become known. */
	if (!counters && !bpf_map_update_elem(&peers, &from, &first, BPF_NOEXIST))
		return XDP_PASS;
	if (!counters)
		counters = bpf_map_lookup_elem(&peers, &from);
	if (counters) {
		__sync_fetch_and_add(&counters->packets, 1);
		__sync_fetch_and_add(&counters->bytes, end - data);
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
