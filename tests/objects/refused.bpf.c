// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Each program breaks one rule of the verifier, on the line that says so. tests/runtime/refused.py names the rules. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct task_struct {
	int pid;
	struct task_struct *last_wakee;
} __attribute__((preserve_access_index));

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym __weak;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym __weak;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym __weak;
extern int no_such_function(int x) __ksym __weak;

struct guarded {
	struct bpf_spin_lock lock;
	int count;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guarded);
} locked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[4]);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

int where;
const volatile int limit = 4;

SEC("socket")
int spilled(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&numbers, &key);
	__u64 now = bpf_ktime_get_ns();
	__u64 *kept = value;
	asm volatile("*(u64 *)(r10 - 64) = %[v]" :: [v] "r"(kept) : "memory");
	asm volatile("%[v] = *(u64 *)(r10 - 64)" : [v] "=r"(kept) :: "memory");
	return *kept + now; /* the value may be NULL */
}

SEC("socket")
int index_from_packet(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&numbers, &key);
	__u32 at = skb->len;
	if (!value)
		return 0;
	return value[at]; /* at is as large as the packet says */
}

static __attribute__((noinline)) __u64 third(__u64 *value)
{
	return value[5]; /* beyond the four */
}

SEC("socket")
int in_a_function(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&numbers, &key);
	if (!value)
		return 0;
	return third(value);
}

SEC("tc")
int lock_held(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct guarded *value = bpf_map_lookup_elem(&locked, &key);
	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	value->count++;
	return 0; /* never unlocked */
}

SEC("tc")
int call_under_lock(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct guarded *value = bpf_map_lookup_elem(&locked, &key);
	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	value->count = bpf_get_prandom_u32(); /* a call while it holds the lock */
	bpf_spin_unlock(&value->lock);
	return 0;
}

SEC("socket")
int kfunc_of_others(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	struct task_struct *task = bpf_task_from_pid(1); /* socket filters have no kfuncs of tasks */
	if (task)
		bpf_task_release(task);
	return 0;
}

SEC("tp_btf/task_newtask")
int not_trusted(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_struct *other = task->last_wakee;
	struct task_struct *mine = bpf_task_acquire(other); /* walked to, not trusted */
	if (mine)
		bpf_task_release(mine);
	return 0;
}

SEC("syscall")
int task_leaked(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);
	if (!task)
		return 0;
	where = task->pid;
	return 0; /* never released */
}

SEC("syscall")
int task_not_checked(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);
	where = task->pid; /* may be NULL */
	bpf_task_release(task);
	return 0;
}

SEC("tp_btf/task_newtask")
int rcu_held(void *ctx)
{
	bpf_rcu_read_lock();
	return 0; /* never unlocked */
}

SEC("raw_tp/sys_enter")
int iterator_not_made(void *ctx)
{
	struct bpf_iter_num it;
	int *v = bpf_iter_num_next(&it); /* before bpf_iter_num_new() */
	return v != 0;
}

SEC("raw_tp/sys_enter")
int iterator_kept(void *ctx)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 4);
	return 0; /* never destroyed */
}

SEC("raw_tp/sys_enter")
int dynptr_not_made(void *ctx)
{
	struct bpf_dynptr d = {};
	char buffer[8];
	bpf_dynptr_read(buffer, sizeof(buffer), &d, 0, 0); /* no dynptr yet */
	return 0;
}

SEC("raw_tp/sys_enter")
int dynptr_kept(void *ctx)
{
	struct bpf_dynptr d;
	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &d);
	return 0; /* neither submitted nor discarded */
}

__attribute__((noinline)) int *gives_pointer(struct __sk_buff *skb)
{
	asm volatile("" :: "r"(skb));
	return &where;
}

SEC("socket")
int global_returns_pointer(struct __sk_buff *skb)
{
	int *p = gives_pointer(skb);
	return p != 0;
}

struct pair {
	int a, b;
};

__attribute__((noinline)) int sum(struct pair *pair)
{
	return pair->a + pair->b; /* global functions know nothing of their callers */
}

SEC("socket")
int global_takes_pointer(struct __sk_buff *skb)
{
	struct pair pair = { skb->len, 2 };
	return sum(&pair);
}

__attribute__((noinline)) int first(struct pair *pair)
{
	return pair ? pair->a : 0;
}

SEC("socket")
int global_is_given_a_number(struct __sk_buff *skb)
{
	return first((void *)(long)skb->len); /* a number for a pointer */
}

SEC("raw_tp/sys_enter")
int loop_without_end(void *ctx)
{
	volatile int i = 0;
	while (i < 10)
		asm volatile("" ::: "memory");
	return 0;
}

SEC("raw_tp/sys_enter")
int weak_function_called(void *ctx)
{
	return no_such_function(1); /* nobody has it */
}

struct bpf_map;

static long each(struct bpf_map *map, const void *key, void *value, void *ctx)
{
	where++;
	return 0;
}

SEC("socket")
int callback(struct __sk_buff *skb)
{
	bpf_for_each_map_elem(&numbers, each, 0, 0);
	return 0;
}

SEC("tp_btf/task_newtask")
int may_sleep(__u64 *ctx)
{
	char buffer[8];
	bpf_copy_from_user(buffer, sizeof(buffer), (void *)ctx[1]); /* where sleeping is not allowed */
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
