#include "perf.h"

#include "ring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* struct perf_event_mmap_page (UAPI perf_event.h): the positions have sat here since the first perf. */
enum {
	HEAD = 1024,
	TAIL = 1032,
};

enum {
	RECORD_LOST = 2,
	RECORD_SAMPLE = 9,
	RECORD_LOST_SAMPLES = 13,
};

struct header {
	uint32_t type;
	uint16_t misc;
	uint16_t size;
};

struct buffer {
	const char *data;
	uint64_t size; /* a power of two */
};

/* A record may go past the end and on at the start: only its 8-byte header cannot, being aligned. */
static void copy(const struct buffer *b, uint64_t position, void *to, size_t length)
{
	uint64_t at = position & (b->size - 1);
	size_t first = b->size - at < length ? b->size - at : length;

	memcpy(to, b->data + at, first);
	memcpy((char *)to + first, b->data, length - first);
}

uint64_t perf_backlog(const void *mapped)
{
	return load_acquire64((const char *)mapped + HEAD) - load_acquire64((const char *)mapped + TAIL);
}

uint32_t perf_pending(void *const *mapped, uint32_t count, uint32_t *pending)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < count; i++)
		if (perf_backlog(mapped[i]))
			pending[found++] = i;
	return found;
}

/* With a *stride* each sample is cut to it and packed (offsets and lengths may be NULL); with 0 each is copied whole. */
int perf_drain(void *mapped, uint64_t page, uint64_t size, uint32_t stride, void *out, uint64_t out_size,
	       uint32_t *offsets, uint32_t *lengths, uint64_t *times, uint32_t limit, struct perf_drained *drained)
{
	const struct buffer b = {(const char *)mapped + page, size};
	uint64_t tail = load_acquire64((char *)mapped + TAIL);
	/* The acquire orders the samples after it: the kernel writes them, then moves the head. */
	const uint64_t head = load_acquire64((char *)mapped + HEAD);
	uint64_t used = 0;
	int result = 0;

	memset(drained, 0, sizeof(*drained));
	drained->backlog = head - tail;
	if (out_size > UINT32_MAX)
		out_size = UINT32_MAX;
	/* One look at the head, thus one buffer's worth at most: a busy CPU cannot hold the caller here. */
	while (tail != head) {
		struct header header;
		const uint64_t prefix = times ? sizeof(uint64_t) : 0;
		const uint64_t body = tail + sizeof(header);

		copy(&b, tail, &header, sizeof(header));
		if (header.size < sizeof(header) || header.size > head - tail) {
			result = -EIO;
			break;
		}
		if (header.type == RECORD_SAMPLE) {
			uint32_t length;
			uint32_t taken;

			if (header.size < sizeof(header) + prefix + sizeof(length)) {
				result = -EIO;
				break;
			}
			copy(&b, body + prefix, &length, sizeof(length));
			if (length > header.size - sizeof(header) - prefix - sizeof(length)) {
				result = -EIO;
				break;
			}
			if (drained->records >= limit) {
				drained->more = 1;
				break;
			}
			taken = stride ? stride : length;
			if (length < taken || taken > out_size - used) {
				drained->more = 1;
				drained->odd = length < taken || drained->records == 0;
				drained->odd_length = length;
				break;
			}
			copy(&b, body + prefix + sizeof(length), (char *)out + used, taken);
			if (times)
				copy(&b, body, &times[drained->records], sizeof(uint64_t));
			if (offsets)
				offsets[drained->records] = (uint32_t)used;
			if (lengths)
				lengths[drained->records] = taken;
			drained->records++;
			drained->bytes += taken;
			used += stride ? stride : ((uint64_t)taken + 7) & ~7ull;
			if (used > out_size)
				used = out_size;
		} else if (header.type == RECORD_LOST && header.size >= sizeof(header) + 16) {
			uint64_t lost;

			copy(&b, body + 8, &lost, sizeof(lost)); /* u64 id, u64 lost */
			drained->lost += lost;
		} else if (header.type == RECORD_LOST_SAMPLES && header.size >= sizeof(header) + 8) {
			uint64_t lost;

			copy(&b, body, &lost, sizeof(lost));
			drained->lost += lost;
		} else {
			drained->other++;
		}
		tail += header.size;
	}
	drained->room = used;
	store_release64((char *)mapped + TAIL, tail);
	return result;
}
