// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A TCP congestion control in three registrations. The struct here has the members that matter to it, in an order of its
 * own, and one that no kernel has: they are matched by name.
 */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct sock;

struct tcp_sock {
	__u32 snd_cwnd;
	__u32 snd_ssthresh;
} __attribute__((preserve_access_index));

struct tcp_congestion_ops___mine {
	char name[16];
	void (*init)(struct sock *sk);
	void (*release)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	__u32 (*ssthresh)(struct sock *sk);
	__u32 flags;
	void (*no_such_member)(struct sock *sk);
	__u32 no_such_number;
};

__u64 inits, releases, avoided, others;

SEC("struct_ops/count_init")
void BPF_PROG(count_init, struct sock *sk)
{
	__sync_fetch_and_add(&inits, 1);
}

SEC("struct_ops/count_release")
void BPF_PROG(count_release, struct sock *sk)
{
	__sync_fetch_and_add(&releases, 1);
}

SEC("struct_ops/count_avoid")
void BPF_PROG(count_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	__sync_fetch_and_add(&avoided, 1);
}

SEC("struct_ops/undo")
__u32 BPF_PROG(undo, struct sock *sk)
{
	return ((struct tcp_sock *)sk)->snd_cwnd;
}

SEC("struct_ops/threshold")
__u32 BPF_PROG(threshold, struct sock *sk)
{
	return ((struct tcp_sock *)sk)->snd_ssthresh;
}

/* In no struct: for who puts it in. */
SEC("struct_ops/other_avoid")
void BPF_PROG(other_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	__sync_fetch_and_add(&others, 1);
}

/* No part of it at all. */
SEC("socket")
int bystander(void *ctx)
{
	return 3;
}

#define CONGESTION_CONTROL(variable, place, called, extra...)                                                          \
	SEC(place)                                                                                                     \
	struct tcp_congestion_ops___mine variable = {                                                                  \
		.name = called,                                                                                        \
		.init = (void *)count_init,                                                                            \
		.undo_cwnd = (void *)undo,                                                                             \
		.ssthresh = (void *)threshold,                                                                         \
		extra                                                                                                  \
	}

CONGESTION_CONTROL(plain, ".struct_ops", "aiobpf_plain", .cong_avoid = (void *)count_avoid);
CONGESTION_CONTROL(linked, ".struct_ops.link", "aiobpf_linked", .cong_avoid = (void *)count_avoid,
		   .release = (void *)count_release);
/* To take the place of the one before: the same name. */
CONGESTION_CONTROL(successor, "?.struct_ops.link", "aiobpf_linked", .cong_avoid = (void *)other_avoid);

char LICENSE[] SEC("license") = "GPL";
