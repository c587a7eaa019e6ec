// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A struct_ops map of programs that ../struct_ops.bpf.c has. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct sock;

struct tcp_congestion_ops {
	char name[16];
	void (*init)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	__u32 (*ssthresh)(struct sock *sk);
};

extern void count_init(unsigned long long *ctx);
extern void other_avoid(unsigned long long *ctx);
extern __u32 undo(unsigned long long *ctx);
extern __u32 threshold(unsigned long long *ctx);

SEC(".struct_ops")
struct tcp_congestion_ops elsewhere = {
	.name = "aiobpf_plain",
	.init = (void *)count_init,
	.undo_cwnd = (void *)undo,
	.ssthresh = (void *)threshold,
	.cong_avoid = (void *)other_avoid,
};

char LICENSE[] SEC("license") = "GPL";
