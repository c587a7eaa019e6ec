// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Functions of kernel modules: traced (veth), and called, those of two modules and of the kernel in one program. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

#define IPPROTO_UDP 17

struct nf_conn;
struct nf_conn___init;

typedef struct seqcount {
	unsigned int sequence;
} seqcount_t;

struct bpf_xfrm_info {
	__u32 if_id;
	int link;
};

/* As of 5.18; later kernels take longer ones as well. */
struct ct_options {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					 struct ct_options *opts, __u32 opts__sz) __ksym __weak;
extern struct nf_conn___init *bpf_skb_ct_alloc(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					       struct ct_options *opts, __u32 opts__sz) __ksym;
extern void bpf_ct_set_timeout(struct nf_conn___init *ct, __u32 timeout) __ksym;
extern int bpf_skb_get_xfrm_info(struct __sk_buff *skb, struct bpf_xfrm_info *to) __ksym;
extern struct nf_conn *bpf_ct_insert_entry(struct nf_conn___init *ct) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;
/* Of nf_conntrack, with a parameter too many. */
extern void bpf_ct_release___wrong(struct nf_conn *ct, int more) __ksym;
extern int veth_no_such_function(int x) __ksym __weak;
/* Of x_tables: odd while the CPU is in its rules. */
extern const seqcount_t xt_recseq __ksym;

__u64 sent;
__u64 sent_too;
__s64 error;
__s64 xfrm;

SEC("?fentry/veth_xmit")
int count_sent(__u64 *ctx)
{
	sent++;
	return 0;
}

SEC("?fentry/veth:veth_xmit")
int count_sent_too(__u64 *ctx)
{
	sent_too++;
	return 0;
}

SEC("?fentry/veth_xmt")
int misspelt(__u64 *ctx)
{
	return 0;
}

static __always_inline void fill(struct bpf_sock_tuple *tuple, struct ct_options *options)
{
	__builtin_memset(tuple, 0, sizeof(*tuple));
	__builtin_memset(options, 0, sizeof(*options));
	tuple->ipv4.saddr = 0x0100007f;
	tuple->ipv4.daddr = 0x0200007f;
	tuple->ipv4.sport = 0x1111;
	tuple->ipv4.dport = 0x2222;
	options->netns_id = -1;
	options->l4proto = IPPROTO_UDP;
}

/* 1 if the connection is tracked, 0 if not. */
SEC("?tc")
int is_tracked(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple;
	struct ct_options options;
	struct nf_conn *ct;

	if (bpf_ksym_exists(veth_no_such_function))
		return veth_no_such_function(1);
	if (!bpf_ksym_exists(bpf_skb_ct_lookup))
		return -9;
	fill(&tuple, &options);
	ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
	error = options.error;
	if (!ct)
		return 0;
	bpf_ct_release(ct);
	return 1;
}

/* A connection made by nf_conntrack, what xfrm_interface knows of the packet, and a section of the kernel's own. */
SEC("?tc")
int track(struct __sk_buff *skb)
{
	struct bpf_xfrm_info info = {};
	struct bpf_sock_tuple tuple;
	struct ct_options options;
	struct nf_conn___init *fresh;
	struct nf_conn *ct;

	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	xfrm = bpf_skb_get_xfrm_info(skb, &info);
	fill(&tuple, &options);
	fresh = bpf_skb_ct_alloc(skb, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
	error = options.error;
	if (!fresh)
		return -1;
	bpf_ct_set_timeout(fresh, 60000);
	ct = bpf_ct_insert_entry(fresh);
	if (!ct)
		return -2;
	bpf_ct_release(ct);
	return 0;
}

/* The sequence of the first CPU, above 100. */
SEC("?tc")
int read_variable(struct __sk_buff *skb)
{
	const seqcount_t *first = bpf_per_cpu_ptr(&xt_recseq, 0);

	return first ? 100 + first->sequence : -1;
}

SEC("?tc")
int wrong_prototype(struct __sk_buff *skb)
{
	bpf_ct_release___wrong(NULL, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
