// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Uses the arena and a variable of ../arena.bpf.c, and has variables of its own in there. */
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

extern struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100);
} arena SEC(".maps");

extern __u32 __arena counter;
__u64 __arena mine = 30;
static __u64 __arena secret = 400;

SEC("syscall")
int use(void *ctx)
{
	barrier_var(ctx);
	counter += 100;
	mine += secret++;
	asm volatile("" ::"r"(&arena)); /* the verifier wants to see which arena it is */
	return mine + counter;
}

char LICENSE[] SEC("license") = "GPL";
