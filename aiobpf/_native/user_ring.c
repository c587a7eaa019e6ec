#include "user_ring.h"

#include <errno.h>
#include <string.h>

enum {
	HEADER = 8, /* u32 length and flags, u32 that has to be 0 */
	BUSY = 1u << 31,
	DISCARDED = 1u << 30,
};

uint64_t user_ring_used(const void *consumer, const void *producer)
{
	return __atomic_load_n((const uint64_t *)producer, __ATOMIC_ACQUIRE) -
	       __atomic_load_n((const uint64_t *)consumer, __ATOMIC_ACQUIRE);
}

/*
 * Room for *length* bytes, at *offset* from the data's beginning; it is busy until it is committed, and the kernel stops
 * at it. -E2BIG if it can never fit, -ENOSPC if there is no room now.
 */
int user_ring_reserve(const void *consumer, void *producer, uint64_t page, uint64_t size, uint32_t length,
		      uint64_t *offset)
{
	uint64_t total = ((uint64_t)length + HEADER + 7) & ~7ull;
	uint64_t used = user_ring_used(consumer, producer);
	uint64_t at = *(uint64_t *)producer; /* ours alone to write */
	uint32_t *header;

	if (length & (BUSY | DISCARDED) || total > size)
		return -E2BIG;
	if (used > size || size - used < total) /* above size: somebody spoilt the positions */
		return -ENOSPC;
	*offset = (at & (size - 1)) + HEADER;
	header = (uint32_t *)((char *)producer + page + *offset - HEADER);
	header[1] = 0;
	__atomic_store_n(header, length | BUSY, __ATOMIC_RELAXED);
	/* The header before the position: the kernel looks at what lies before it (user_ring_buffer__reserve). */
	__atomic_store_n((uint64_t *)producer, at + total, __ATOMIC_RELEASE);
	return 0;
}

/* The bytes are there before the kernel sees that they are. */
void user_ring_commit(void *producer, uint64_t page, uint64_t offset, int discard)
{
	uint32_t *header = (uint32_t *)((char *)producer + page + offset - HEADER);
	uint32_t length = *header & ~BUSY;

	__atomic_store_n(header, discard ? length | DISCARDED : length, __ATOMIC_RELEASE);
}

/* Reserve, copy and commit. */
int user_ring_write(const void *consumer, void *producer, uint64_t page, uint64_t size, const void *data,
		    uint32_t length)
{
	uint64_t offset;
	int error = user_ring_reserve(consumer, producer, page, size, length, &offset);

	if (error)
		return error;
	memcpy((char *)producer + page + offset, data, length);
	user_ring_commit(producer, page, offset, 0);
	return 0;
}
