// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What programs do to the process that they run in, and to themselves; each is run by BPF_PROG_TEST_RUN. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct {
	int tgid;
	struct task_struct *real_parent;
} __attribute__((preserve_access_index));

int tgid, parent_tgid;
char text[16];
long text_length, written, signalled;

SEC("?raw_tp")
int read_kernel(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	tgid = BPF_CORE_READ(task, tgid);
	parent_tgid = BPF_CORE_READ(task, real_parent, tgid);
	return 0;
}

SEC("?raw_tp")
int read_user(__u64 *ctx)
{
	text_length = bpf_probe_read_user_str(text, sizeof(text), (void *)ctx[0]);
	return 0;
}

SEC("?raw_tp")
int write_user(__u64 *ctx)
{
	__u32 value = 4711;

	written = bpf_probe_write_user((void *)ctx[0], &value, sizeof(value));
	return 0;
}

SEC("?raw_tp")
int signal(__u64 *ctx)
{
	signalled = bpf_send_signal((__u32)ctx[0]);
	return 0;
}

extern void bpf_throw(__u64 cookie) __weak __ksym;

SEC("?tc")
int throw_it(struct __sk_buff *skb)
{
	if (skb->len)
		bpf_throw(42);
	return 1;
}

SEC("?tc")
int count_rounds(struct __sk_buff *skb)
{
	int *round, rounds = 0;
	struct bpf_iter_num it __attribute__((aligned(8)));

	bpf_iter_num_new(&it, 0, 1000);
	while ((round = bpf_iter_num_next(&it)))
		rounds += 1;
	bpf_iter_num_destroy(&it);
	return rounds;
}

char LICENSE[] SEC("license") = "GPL";
