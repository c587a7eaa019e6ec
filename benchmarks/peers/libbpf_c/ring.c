// SPDX-License-Identifier: MIT
/* A callback for each record, as every user of libbpf writes one. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "side.h"

struct record {
	uint64_t sequence;
	uint64_t submitted_ns;
};

struct reader {
	int fd;
	struct ring_buffer *ring;
	uint64_t count;
	uint64_t sum;
	uint64_t *latencies; /* NULL while nobody asks */
	uint64_t room;
};

static int on_record(void *context, void *data, size_t size)
{
	struct reader *reader = context;
	const struct record *record = data;

	(void)size;
	if (reader->latencies && reader->count < reader->room)
		reader->latencies[reader->count] = clock_ns(CLOCK_MONOTONIC) - record->submitted_ns;
	reader->count++;
	reader->sum += record->sequence;
	return 0;
}

/* The reader of a ring, kept from the first command on it. */
static struct reader *reader_of(int fd)
{
	static struct reader readers[8];
	static int count;

	for (int i = 0; i < count; i++)
		if (readers[i].fd == fd)
			return &readers[i];
	if (count == 8)
		return NULL;
	readers[count].fd = fd;
	readers[count].ring = ring_buffer__new(fd, on_record, &readers[count], NULL);
	return readers[count].ring ? &readers[count++] : NULL;
}

/* None is no failure: the next record may still be being written, and then the poll returns at once. */
int poll_ring(struct ring_buffer *ring, struct stopwatch since)
{
	int found = ring_buffer__poll(ring, 1000);

	if (found == -EINTR)
		return 0;
	return found || stop(since).wall_ns < 60000000000ull ? found : -ETIMEDOUT;
}

void ring(char *const *arguments)
{
	struct reader *reader = reader_of(argument(arguments, "fd"));
	uint64_t wanted = argument(arguments, "count");
	struct stopwatch took;

	if (!reader) {
		answer_error("ring_buffer__new", errno);
		return;
	}
	reader->count = reader->sum = 0;
	took = start();
	while (reader->count < wanted) {
		int error = poll_ring(reader->ring, took);

		if (error < 0) {
			answer_error("ring_buffer__poll", error);
			return;
		}
	}
	answer(stop(took), reader->count, reader->sum);
}

static int by_value(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

void wake(char *const *arguments)
{
	struct reader *reader = reader_of(argument(arguments, "fd"));
	uint64_t wanted = argument(arguments, "count");
	struct stopwatch since = start();

	if (!reader) {
		answer_error("ring_buffer__new", errno);
		return;
	}
	reader->count = reader->sum = 0;
	reader->room = wanted;
	reader->latencies = calloc(wanted, sizeof(*reader->latencies));
	printf("{\"ready\": true}\n");
	while (reader->count < wanted && poll_ring(reader->ring, since) >= 0)
		;
	qsort(reader->latencies, reader->count, sizeof(*reader->latencies), by_value);
	if (reader->count < wanted)
		answer_error("ring_buffer__poll", ETIMEDOUT);
	else
		printf("{\"p50_ns\": %lu, \"p99_ns\": %lu, \"count\": %lu, \"sum\": %lu}\n", reader->latencies[wanted / 2],
		       reader->latencies[wanted * 99 / 100], reader->count, reader->sum);
	free(reader->latencies);
	reader->latencies = NULL;
}
