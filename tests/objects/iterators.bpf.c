// Iterators: rows of a struct, and lines of text. Those that older kernels lack are marked "?".
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define KERNEL __attribute__((preserve_access_index))

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
} KERNEL;

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
} KERNEL;

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
} KERNEL;

struct bpf_map {
	__u32 id;
	char name[16];
} KERNEL;

struct bpf_prog_aux {
	__u32 id;
	char name[16];
} KERNEL;

struct bpf_prog {
	struct bpf_prog_aux *aux;
} KERNEL;

struct sock_common {
	__u16 skc_family;
	unsigned char skc_state;
	__u16 skc_num;
} KERNEL;

struct kallsym_iter {
	unsigned long value;
	char name[512];
} KERNEL;

struct kernfs_node {
	__u64 id;
} KERNEL;

struct cgroup {
	struct kernfs_node *kn;
} KERNEL;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} KERNEL;

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
} KERNEL;

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
} KERNEL;

struct bpf_iter__bpf_prog {
	struct bpf_iter_meta *meta;
	struct bpf_prog *prog;
} KERNEL;

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} KERNEL;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} KERNEL;

struct bpf_iter__ksym {
	struct bpf_iter_meta *meta;
	struct kallsym_iter *ksym;
} KERNEL;

struct bpf_iter__cgroup {
	struct bpf_iter_meta *meta;
	struct cgroup *cgroup;
} KERNEL;

struct object_row {
	__u32 id;
	char name[16];
};

struct element_row {
	__u32 key;
	__u64 value;
};

struct range_row {
	__u64 start;
	__u64 end;
};

struct ksym_row {
	__u64 address;
	char name[32];
};

struct cgroup_row {
	__u64 id;
};

struct tcp_row {
	__u16 port;
	__u16 state;
};

/* A type is in the object's BTF where a variable or map mentions it. */
const struct object_row *object_row;
const struct element_row *element_row;
const struct range_row *range_row;
const struct ksym_row *ksym_row;
const struct cgroup_row *cgroup_row;
const struct tcp_row *tcp_row;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct object_row row = {};

	if (!task)
		return 0;
	row.id = task->pid;
	bpf_probe_read_kernel_str(row.name, sizeof(row.name), task->comm);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

SEC("iter/task")
int task_lines(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;

	if (!task)
		return 0;
	BPF_SEQ_PRINTF(seq, "%d %s\n", task->pid, task->comm);
	return 0;
}

SEC("iter/bpf_map")
int maps(struct bpf_iter__bpf_map *ctx)
{
	struct object_row row = {};
	struct bpf_map *map = ctx->map;

	if (!map)
		return 0;
	row.id = map->id;
	bpf_probe_read_kernel_str(row.name, sizeof(row.name), map->name);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

SEC("iter/bpf_prog")
int programs(struct bpf_iter__bpf_prog *ctx)
{
	struct object_row row = {};
	struct bpf_prog *prog = ctx->prog;

	if (!prog)
		return 0;
	row.id = prog->aux->id;
	bpf_probe_read_kernel_str(row.name, sizeof(row.name), prog->aux->name);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

SEC("iter/bpf_map_elem")
int elements(struct bpf_iter__bpf_map_elem *ctx)
{
	struct element_row row = {};
	__u32 *key = ctx->key;
	__u64 *value = ctx->value;

	if (!key || !value)
		return 0;
	row.key = *key;
	row.value = *value;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

SEC("iter/tcp")
int connections(struct bpf_iter__tcp *ctx)
{
	struct tcp_row row = {};
	struct sock_common *common = ctx->sk_common;

	if (!common)
		return 0;
	row.port = common->skc_num;
	row.state = common->skc_state;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

SEC("?iter/task_vma")
int ranges(struct bpf_iter__task_vma *ctx)
{
	struct range_row row = {};
	struct vm_area_struct *vma = ctx->vma;

	if (!vma)
		return 0;
	row.start = vma->vm_start;
	row.end = vma->vm_end;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

/* Looks at more than a hundred thousand symbols, and writes one. */
SEC("?iter/ksym")
int symbols(struct bpf_iter__ksym *ctx)
{
	struct ksym_row row = {};
	struct kallsym_iter *ksym = ctx->ksym;

	if (!ksym)
		return 0;
	bpf_probe_read_kernel_str(row.name, sizeof(row.name), ksym->name);
	for (int i = 0; i < 9; i++)
		if (row.name[i] != "vfs_read"[i])
			return 0;
	row.address = ksym->value;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

SEC("?iter.s/cgroup")
int cgroups(struct bpf_iter__cgroup *ctx)
{
	struct cgroup_row row = {};
	struct cgroup *cgroup = ctx->cgroup;

	if (!cgroup)
		return 0;
	row.id = cgroup->kn->id;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

SEC("?iter/task")
int half_rows(struct bpf_iter__task *ctx)
{
	__u16 half = 7;

	if (!ctx->task || ctx->meta->seq_num)
		return 0;
	bpf_seq_write(ctx->meta->seq, &half, sizeof(half));
	return 0;
}
