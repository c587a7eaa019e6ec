// SPDX-License-Identifier: MIT
/* Rings that are filled while they are read. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "side.h"

struct record {
	uint64_t sequence;
	uint64_t submitted_ns;
};

struct live_reader {
	int fd;
	struct ring_buffer *ring;
	uint64_t count;
	uint64_t sum;
	uint64_t last; /* the sequence number that ends the case */
	uint64_t mask; /* of those whose latency is noted no bit of the sequence number is in it */
	bool is_over;
	uint64_t *latencies;
	uint64_t noted;
	uint64_t room;
};

static int on_record(void *context, void *data, size_t size)
{
	struct live_reader *reader = context;
	const struct record *record = data;
	uint64_t sequence = record->sequence;

	(void)size;
	if (!(sequence & reader->mask) && reader->noted < reader->room)
		reader->latencies[reader->noted++] = clock_ns(CLOCK_MONOTONIC) - record->submitted_ns;
	reader->count++;
	reader->sum += sequence;
	reader->is_over = sequence >= reader->last;
	return 0;
}

static struct live_reader *reader_of(int fd)
{
	static struct live_reader readers[8];
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

static long sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nvcsw;
}

static int by_value(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

void live(char *const *arguments)
{
	struct live_reader *reader = reader_of(argument(arguments, "fd"));
	struct stopwatch took;
	uint64_t end_ns;
	long slept;

	if (!reader) {
		answer_error("ring_buffer__new", errno);
		return;
	}
	reader->count = reader->sum = reader->noted = 0;
	reader->is_over = false;
	reader->last = argument(arguments, "last");
	reader->mask = argument(arguments, "mask");
	reader->room = argument(arguments, "count") / (reader->mask + 1) + 1;
	reader->latencies = calloc(reader->room, sizeof(*reader->latencies));
	printf("{\"ready\": true}\n");
	slept = sleeps();
	took = start();
	while (!reader->is_over) {
		int error = poll_ring(reader->ring, took);

		if (error < 0) {
			answer_error("ring_buffer__poll", error);
			free(reader->latencies);
			return;
		}
	}
	took = stop(took);
	end_ns = clock_ns(CLOCK_MONOTONIC);
	slept = sleeps() - slept;
	qsort(reader->latencies, reader->noted, sizeof(*reader->latencies), by_value);
	printf("{\"ns\": %lu, \"cpu_ns\": %lu, \"count\": %lu, \"sum\": %lu, \"end_ns\": %lu, \"sleeps\": %ld, "
	       "\"p50_ns\": %lu, \"p99_ns\": %lu}\n",
	       took.wall_ns, took.cpu_ns, reader->count, reader->sum, end_ns, slept,
	       reader->latencies[reader->noted / 2], reader->latencies[reader->noted * 99 / 100]);
	free(reader->latencies);
}
