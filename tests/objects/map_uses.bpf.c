// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Programs that use maps of each kind, so that what user space writes is seen by one and the other way round. A test takes
 * one program and the maps that it needs: no kernel before 6.4 has them all. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define KTHREADD 2 /* is there on every kernel, in the first PID namespace */

struct inode;

struct file {
	struct inode *f_inode;
} __attribute__((preserve_access_index));

struct cgroup;

struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	struct css_set *cgroups;
} __attribute__((preserve_access_index));

struct bpf_cgroup_storage_key {
	__u64 cgroup_inode_id;
	__u32 attach_type;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} inodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} hooks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} hooks_by_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 1000);
	__type(value, __u32);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} wanted SEC(".maps");

struct held {
	struct task_struct __kptr *task;
	__u64 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct held);
} held_tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, __u64);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, struct inner);
} outer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

__s64 counter;
__u32 rounds;

SEC("?cgroup_skb/egress")
int count_by_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	__u64 *value;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	value = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (value)
		__sync_fetch_and_add(value, 1);
	return 1;
}

SEC("?cgroup_skb/egress")
int count_by_hook(struct __sk_buff *skb)
{
	__u64 *value = bpf_get_local_storage(&hooks, 0);

	__sync_fetch_and_add(value, 1);
	return 1;
}

SEC("?cgroup_skb/egress")
int count_by_hook_and_cpu(struct __sk_buff *skb)
{
	__u64 *value = bpf_get_local_storage(&hooks_by_cpu, 0);

	*value += 1;
	return 1;
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(count_by_task, void *regs, long id)
{
	__u64 *value = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 0);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(count_by_cgroup, void *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 *value = bpf_cgrp_storage_get(&cgroups, task->cgroups->dfl_cgrp, 0, 0);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(count_by_file, struct file *file)
{
	__u64 *value = bpf_inode_storage_get(&inodes, file->f_inode, 0, 0);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

/* 1: perhaps, 0: certainly not. */
SEC("?tc")
int look_on_the_stack(struct __sk_buff *skb)
{
	__u32 value = skb->mark;

	return bpf_map_peek_elem(&seen, &value) == 0;
}

SEC("?tc")
int look_in_a_map(struct __sk_buff *skb)
{
	__u32 key = 0, *value = bpf_map_lookup_elem(&wanted, &key);

	return value && bpf_map_peek_elem(&seen, value) == 0;
}

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

/* Puts a task into the map, and takes out the one that was there. */
SEC("?syscall")
int hold_a_task(void *ctx)
{
	struct task_struct *task;
	struct held *held;
	__u32 key = 0;

	held = bpf_map_lookup_elem(&held_tasks, &key);
	if (!held)
		return -1;
	task = bpf_task_from_pid(KTHREADD);
	if (!task)
		return -2;
	task = bpf_kptr_xchg(&held->task, task);
	if (task) {
		held->pid = task->pid;
		bpf_task_release(task);
	}
	return 0;
}

SEC("?tc")
int write_through_a_dynptr(struct __sk_buff *skb)
{
	struct bpf_dynptr record;
	__u64 value = 4711;
	long error;

	error = bpf_ringbuf_reserve_dynptr(&ring, sizeof(value), 0, &record);
	if (error) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return -1;
	}
	bpf_dynptr_write(&record, 0, &value, sizeof(value), 0);
	bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym __weak;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __ksym __weak;

SEC("?tc")
int read_through_a_dynptr(struct __sk_buff *skb)
{
	struct bpf_dynptr packet;
	__u8 buffer[4], *bytes;

	if (bpf_dynptr_from_skb(skb, 0, &packet))
		return -1;
	bytes = bpf_dynptr_slice(&packet, 20, buffer, sizeof(buffer));
	return bytes ? bytes[3] : -2;
}

SEC("?tc")
int add_to_numbers(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&numbers, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

static long add_up(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*sum += *value;
	return 0;
}

SEC("?tc")
int sum_of_all(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_for_each_map_elem(&numbers, add_up, &sum, 0);
	return sum;
}

static long one_round(__u32 index, void *context)
{
	__sync_fetch_and_add(&rounds, 1);
	return 0;
}

SEC("?tc")
int loop(struct __sk_buff *skb)
{
	return bpf_loop(500, one_round, 0, 0);
}

SEC("?tc")
int exchange(struct __sk_buff *skb)
{
	__s64 before = __sync_fetch_and_add(&counter, 5);

	__sync_val_compare_and_swap(&counter, 15, 99);
	return before;
}

SEC("?tc")
int write_into_inner(struct __sk_buff *skb)
{
	__u32 key = 7, index = 2;
	__u64 *value;
	void *inner;

	inner = bpf_map_lookup_elem(&outer, &key);
	if (!inner)
		return -1;
	value = bpf_map_lookup_elem(inner, &index);
	if (!value)
		return -2;
	*value += 1;
	return 0;
}

SEC("?tc")
int jump(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jumps, 1);
	return 1;
}

SEC("?tc")
int landing(struct __sk_buff *skb)
{
	return 33;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
