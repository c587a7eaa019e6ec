#ifndef AIOBPF_RING_H
#define AIOBPF_RING_H

#include <stdint.h>

/*
 * The BPF ring buffer (BPF_MAP_TYPE_RINGBUF, Linux 5.8), as mapped: *consumer* the page at offset 0 (read, write),
 * *producer* the page behind it followed by the data, mapped twice in a row (read only). *size* is max_entries, bytes.
 *
 * A drain copies committed records to *out* and moves the consumer position past them; it returns 0, or -EIO where a
 * record does not end before the producer position (that is no ring buffer).
 */

struct ring_drained {
	uint64_t backlog;    /* bytes between the positions when the drain began: the high water mark's raw material */
	uint64_t bytes;      /* payload bytes copied */
	uint64_t room;       /* bytes of *out* used, padding included */
	uint32_t records;    /* records copied */
	uint32_t discarded;  /* records that the program discarded: skipped */
	uint32_t longer;     /* fixed stride: records cut to the stride */
	uint32_t odd_length; /* the length of the record that stopped the drain: too long for *out*, or below the stride */
	uint64_t overwritten; /* bytes of records, headers included, that were overwritten before they were copied */
	uint8_t busy;        /* stopped at a record that a program still writes */
	uint8_t more;        /* committed records remain: the limit, *out* or odd_length stopped the drain */
	uint8_t odd;         /* stopped by odd_length; it stays in the ring */
};

int ring_drain_fixed(void *consumer, const void *producer, uint64_t page, uint64_t size, uint32_t stride, void *out,
		     uint64_t out_size, uint32_t limit, struct ring_drained *drained);
int ring_drain(void *consumer, const void *producer, uint64_t page, uint64_t size, void *out, uint64_t out_size,
	       uint32_t *offsets, uint32_t *lengths, uint32_t limit, struct ring_drained *drained);
int ring_drain_overwritten(void *consumer, const void *producer, uint64_t page, uint64_t size, void *out,
			   uint64_t out_size, uint32_t *offsets, uint32_t *lengths, uint32_t limit,
			   struct ring_drained *drained);

/* Records of one length, one behind the other, that stay where they are. */
struct ring_run {
	uint64_t backlog;   /* bytes between the positions when the look began */
	uint64_t start;     /* the position of the first one's header */
	uint64_t stride;    /* bytes from one record to the next: header, payload, padding */
	uint32_t length;    /* payload bytes of each */
	uint32_t records;
	uint32_t discarded; /* discarded records that were skipped before the first: *consumer* is behind them */
	uint8_t busy;       /* nothing there but a record that a program still writes */
};

/*
 * The next run of at most *limit* records and, from the second on, *room* bytes. The consumer position is moved past
 * discarded records before it, not past the run.
 */
int ring_run(void *consumer, const void *producer, uint64_t page, uint64_t size, uint32_t limit, uint64_t room,
	     struct ring_run *run);

/* The payloads of a run whose first header is at *records*, each at a multiple of *row* bytes in *out*. */
void ring_run_copy(const void *records, uint64_t stride, uint32_t count, void *out, uint32_t row);

uint64_t ring_backlog(const void *consumer, const void *producer);

uint64_t load_acquire64(const void *address);
void store_release64(void *address, uint64_t value);
void fence(void);

#endif
