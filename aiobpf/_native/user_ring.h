#ifndef AIOBPF_USER_RING_H
#define AIOBPF_USER_RING_H

#include <stdint.h>

/*
 * The user ring buffer (BPF_MAP_TYPE_USER_RINGBUF, Linux 6.1), as mapped by its producer: *consumer* the page at offset 0
 * (read only), *producer* the page behind it followed by the data, mapped twice in a row (read, write). *size* is
 * max_entries, bytes. One producer at a time: the caller has a lock.
 */

int user_ring_reserve(const void *consumer, void *producer, uint64_t page, uint64_t size, uint32_t length,
		      uint64_t *offset);
void user_ring_commit(void *producer, uint64_t page, uint64_t offset, int discard);
int user_ring_write(const void *consumer, void *producer, uint64_t page, uint64_t size, const void *data,
		    uint32_t length);
uint64_t user_ring_used(const void *consumer, const void *producer);

#endif
