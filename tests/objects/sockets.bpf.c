// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What programs on sockets, cgroups and network namespaces can do. All of it loads on 5.10. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SOL_SOCKET 1
#define SO_RCVBUF 8

struct bpf_flow_keys {
	__u16 nhoff;
	__u16 thoff;
	__u16 addr_proto;
	__u8 is_frag;
	__u8 is_first_frag;
	__u8 is_encap;
	__u8 ip_proto;
	__be16 n_proto;
	__be16 sport;
	__be16 dport;
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} sock_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} listeners SEC(".maps");

__u64 seen;
__u64 operations[32]; /* by the op of struct bpf_sock_ops */
__u32 choice;         /* the place in `listeners` that is selected */
__u32 steered_port;

static __always_inline void count(void)
{
	__sync_fetch_and_add(&seen, 1);
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	if (ctx->local_port != steered_port)
		return SK_PASS;
	__u32 key = 0;
	struct bpf_sock *sk = bpf_map_lookup_elem(&socks, &key);

	if (!sk)
		return SK_PASS;
	bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	count();
	return SK_PASS;
}

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	skb->flow_keys->ip_proto = 42;
	count();
	return 0; /* BPF_OK */
}

SEC("sk_reuseport")
int choose(struct sk_reuseport_md *ctx)
{
	count();
	return bpf_sk_select_reuseport(ctx, &listeners, &choice, 0) ? SK_DROP : SK_PASS;
}

SEC("sk_reuseport/migrate")
int choose_again(struct sk_reuseport_md *ctx)
{
	count();
	return bpf_sk_select_reuseport(ctx, &listeners, &choice, 0) ? SK_DROP : SK_PASS;
}

/* To the socket with key 1, as if it had been received there. */
SEC("sk_msg")
int send_elsewhere(struct sk_msg_md *msg)
{
	__u32 key = 1;

	count();
	return bpf_msg_redirect_hash(msg, &sock_hash, &key, 1 /* BPF_F_INGRESS */);
}

SEC("sk_skb/stream_parser")
int all_of_it(struct __sk_buff *skb)
{
	return skb->len;
}

/* Out of the socket in place 1, which sends it. */
SEC("sk_skb/stream_verdict")
int pass_on(struct __sk_buff *skb)
{
	count();
	return bpf_sk_redirect_map(skb, &socks, 1, 0);
}

SEC("sk_skb/verdict")
int pass_on_at_once(struct __sk_buff *skb)
{
	count();
	return bpf_sk_redirect_map(skb, &socks, 1, 0);
}

SEC("sockops")
int watch(struct bpf_sock_ops *ops)
{
	__u32 op = ops->op;

	if (op < 32)
		__sync_fetch_and_add(&operations[op], 1);
	return 1;
}

SEC("cgroup/getsockopt")
int tell_4711(struct bpf_sockopt *ctx)
{
	__s32 *value = ctx->optval;

	if (ctx->level != SOL_SOCKET || ctx->optname != SO_RCVBUF || (void *)(value + 1) > ctx->optval_end)
		return 1;
	*value = 4711;
	ctx->retval = 0;
	count();
	return 1;
}

SEC("cgroup/setsockopt")
int keep_the_buffer(struct bpf_sockopt *ctx)
{
	if (ctx->level != SOL_SOCKET || ctx->optname != SO_RCVBUF)
		return 1;
	count();
	return 0;
}

SEC("cgroup/sysctl")
int read_only(struct bpf_sysctl *ctx)
{
	if (ctx->write)
		return 0;
	count();
	return 1;
}

SEC("cgroup/dev")
int no_random(struct bpf_cgroup_dev_ctx *ctx)
{
	if (ctx->major != 1 || ctx->minor != 8)
		return 1;
	count();
	return 0;
}

SEC("tc")
int mark(struct __sk_buff *skb)
{
	skb->mark += 5;
	skb->cb[0] = 5;
	return 5;
}

char _license[] SEC("license") = "GPL";
