// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What the benchmarks measure with: rings that a test run fills, and maps of known contents.
 *
 * The producers are `syscall` programs (Linux 5.14): one BPF_PROG_TEST_RUN submits as many records as its context says,
 * without an interface, an event of the kernel or anything else between them.
 */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

#define COMMON                                                                                                         \
	__u64 sequence;                                                                                                \
	__u64 submitted_ns; /* CLOCK_MONOTONIC */                                                                      \
	__u32 pid;                                                                                                     \
	__u32 tid;                                                                                                     \
	__u32 uid;                                                                                                     \
	__s32 result;                                                                                                  \
	char comm[16];                                                                                                 \
	__u64 bytes;                                                                                                   \
	__u64 duration_ns;

struct record_64 {
	COMMON
};

struct record_512 {
	COMMON
	char path[256];
	__u8 payload[192];
};

_Static_assert(sizeof(struct record_64) == 64, "record_64");
_Static_assert(sizeof(struct record_512) == 512, "record_512");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring_64 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring_512 SEC(".maps");

struct traffic {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct traffic);
} lookups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, __u32);
	__type(value, __u64);
} scanned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct traffic);
} updates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 17);
	__type(key, __u32);
	__type(value, __u64);
} bulk SEC(".maps");

/* The context of a producer's test run. */
struct request {
	__u64 count;	 /* records wanted */
	__u64 first;	 /* the sequence number of the first */
	__u64 is_lossy;	 /* where the ring is full: go on with the next record, else end the run */
	__u64 submitted; /* out: records that found room, */
	__u64 lost;	 /* those that did not, */
	__u64 sum;	 /* and the sum of the sequence numbers of those that did */
};

static __always_inline void fill(struct record_64 *record, __u64 sequence)
{
	__u64 id = bpf_get_current_pid_tgid();

	record->sequence = sequence;
	record->submitted_ns = bpf_ktime_get_ns();
	record->pid = id >> 32;
	record->tid = id;
	record->uid = bpf_get_current_uid_gid();
	record->result = -(__s32)(sequence & 0xff);
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	record->bytes = sequence * 3;
	record->duration_ns = sequence ^ 0x5a5a;
}

static long submit_64(__u32 index, struct request *request)
{
	struct record_64 *record = bpf_ringbuf_reserve(&ring_64, sizeof(*record), 0);

	if (!record) {
		request->lost++;
		return !request->is_lossy;
	}
	fill(record, request->first + index);
	bpf_ringbuf_submit(record, 0);
	request->submitted++;
	request->sum += request->first + index;
	return 0;
}

static long submit_512(__u32 index, struct request *request)
{
	struct record_512 *record = bpf_ringbuf_reserve(&ring_512, sizeof(*record), 0);

	if (!record) {
		request->lost++;
		return !request->is_lossy;
	}
	fill((struct record_64 *)record, request->first + index);
	__builtin_memset(record->path, 0, sizeof(record->path));
	__builtin_memcpy(record->path, "/usr/lib/x86_64-linux-gnu/libc.so.6", 35);
	__builtin_memset(record->payload, 0xa5, sizeof(record->payload));
	bpf_ringbuf_submit(record, 0);
	request->submitted++;
	request->sum += request->first + index;
	return 0;
}

SEC("syscall")
int produce_64(struct request *context)
{
	struct request request = {.first = context->first, .is_lossy = context->is_lossy};

	bpf_loop(context->count, submit_64, &request, 0);
	context->submitted = request.submitted;
	context->lost = request.lost;
	context->sum = request.sum;
	return 0;
}

SEC("syscall")
int produce_512(struct request *context)
{
	struct request request = {.first = context->first, .is_lossy = context->is_lossy};

	bpf_loop(context->count, submit_512, &request, 0);
	context->submitted = request.submitted;
	context->lost = request.lost;
	context->sum = request.sum;
	return 0;
}

/* So that the types are in the object's BTF: nothing else that it describes refers to them. */
const struct record_64 *record_64_type;
const struct record_512 *record_512_type;

char LICENSE[] SEC("license") = "Dual MIT/GPL";
