// A program that drains a user ring buffer when it is run.
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct command {
	__u32 number;
	__u32 flags;
	char text[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct command);
} commands SEC(".maps");

__u64 drained;
__u64 sum;
struct command last;

static long take(struct bpf_dynptr *dynptr, void *context)
{
	struct command command = {};

	if (bpf_dynptr_read(&command, sizeof(command), dynptr, 0, 0))
		return 0;
	last = command;
	drained++;
	sum += command.number;
	return 0;
}

SEC("raw_tp")
int drain(void *ctx)
{
	return bpf_user_ringbuf_drain(&commands, take, (void *)0, 0);
}
