#ifndef AIOBPF_PERF_H
#define AIOBPF_PERF_H

#include <stdint.h>

/*
 * One CPU's perf buffer: *mapped* is the control page followed by 2^n pages of data, mapped read and write (so that the
 * kernel keeps what is not yet read). Made for PERF_SAMPLE_RAW events (bpf_perf_event_output), with PERF_SAMPLE_TIME
 * before it where *times* is wanted.
 *
 * A drain copies raw samples to *out*, each at a multiple of 8, and moves the tail past what it read; it returns 0, or
 * -EIO where a record breaks the format. A raw sample is as long as the kernel says: padded so that it and its u32 size
 * fill a multiple of 8, thus up to 7 bytes longer than what the program wrote.
 */

struct perf_drained {
	uint64_t backlog;    /* bytes in the buffer when the drain began */
	uint64_t bytes;      /* sample bytes copied */
	uint64_t room;       /* bytes of *out* used */
	uint64_t lost;       /* records that found no room, as the kernel's LOST records count them */
	uint32_t records;    /* samples copied */
	uint32_t other;      /* records of other types: skipped */
	uint32_t odd_length; /* the length of the sample that stopped the drain: too long for *out*, or below the stride */
	uint8_t more;        /* records remain: the limit, *out* or odd_length stopped the drain */
	uint8_t odd;         /* stopped by odd_length; it stays in the buffer */
};

int perf_drain(void *mapped, uint64_t page, uint64_t size, uint32_t stride, void *out, uint64_t out_size,
	       uint32_t *offsets, uint32_t *lengths, uint64_t *times, uint32_t limit, struct perf_drained *drained);
uint64_t perf_backlog(const void *mapped);
/* Which of *count* buffers hold data: their indices to *pending*; returns how many they are. */
uint32_t perf_pending(void *const *mapped, uint32_t count, uint32_t *pending);

#endif
