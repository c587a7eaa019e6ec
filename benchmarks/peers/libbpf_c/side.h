/* SPDX-License-Identifier: MIT */
/*
 * One side of the benchmarks: a command a line on stdin (case TAB key=value TAB ...), an answer a line on stdout (JSON).
 */
#ifndef SIDE_H
#define SIDE_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* The value of *key* in a command's arguments; exits where it is missing, for that is a mistake of the harness. */
const char *text_argument(char *const *arguments, const char *key);
long argument(char *const *arguments, const char *key);

/* Wall and processor time of this process. */
struct stopwatch {
	uint64_t wall_ns;
	uint64_t cpu_ns;
};

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline struct stopwatch start(void)
{
	return (struct stopwatch){.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID), .wall_ns = clock_ns(CLOCK_MONOTONIC)};
}

static inline struct stopwatch stop(struct stopwatch since)
{
	uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC);

	return (struct stopwatch){.wall_ns = wall_ns - since.wall_ns,
				  .cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - since.cpu_ns};
}

void answer(struct stopwatch took, uint64_t count, uint64_t sum);
void answer_error(const char *what, int error);

struct ring_buffer;

/* Records that one poll handed out, perhaps none; an error, and -ETIMEDOUT a minute after *since*. */
int poll_ring(struct ring_buffer *ring, struct stopwatch since);

typedef void command_fn(char *const *arguments);
command_fn ring, wake, live, btf_find, object_open, object_load, map_lookup, map_update, map_scan;
command_fn bulk_lookup, bulk_update, bulk_delete;

#endif
