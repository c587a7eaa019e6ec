/* What the USDT programs of the tests do, whoever's usdt.bpf.h was included before. */

__u64 hits = 0;
__u64 cookie = 0;
int count = 0;
int errors[12] = {};
long values[12] = {};
long sum = 0;

#define TAKE(number)                                                                                                   \
	do {                                                                                                           \
		long value;                                                                                            \
		errors[number] = bpf_usdt_arg(ctx, number, &value);                                                    \
		values[number] = value;                                                                                \
	} while (0)

SEC("usdt")
int take_all(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&hits, 1);
	cookie = bpf_usdt_cookie(ctx);
	count = bpf_usdt_arg_cnt(ctx);
	TAKE(0);
	TAKE(1);
	TAKE(2);
	TAKE(3);
	TAKE(4);
	TAKE(5);
	TAKE(6);
	TAKE(7);
	TAKE(8);
	TAKE(9);
	TAKE(10);
	TAKE(11);
	return 0;
}

SEC("usdt")
int BPF_USDT(add_up, int first, long second)
{
	__sync_fetch_and_add(&sum, first + second);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
