#include "ring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum {
	HEADER = 8, /* u32 length and flags, u32 page offset */
	BUSY = 1u << 31,
	DISCARDED = 1u << 30,
	/* The position is given back to the producers this often, in bytes: for each record it would bounce the cache line
	 * that every bpf_ringbuf_reserve reads; only at the end it would let a full ring stay full while we copy. */
	GIVE_BACK = 16384,
};

struct cursor {
	uint64_t *consumer_position;
	const uint64_t *producer_position;
	const char *data;
	uint64_t mask;
	uint64_t at;    /* our position */
	uint64_t given; /* the position as producers see it */
	uint64_t end;   /* the producers' position as last read */
};

uint64_t load_acquire64(const void *address)
{
	return __atomic_load_n((const uint64_t *)address, __ATOMIC_ACQUIRE);
}

void store_release64(void *address, uint64_t value)
{
	__atomic_store_n((uint64_t *)address, value, __ATOMIC_RELEASE);
}

void fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

uint64_t ring_backlog(const void *consumer, const void *producer)
{
	/* Nobody wakes a reader for a record that it did not see here because its own store had yet to be seen; see next(). */
	fence();
	return load_acquire64(producer) - load_acquire64(consumer);
}

/* Positions are always read from the mapping: a pinned ring was drained before by somebody else. */
static void begin(struct cursor *c, void *consumer, const void *producer, uint64_t page, uint64_t size,
		  struct ring_drained *drained)
{
	memset(drained, 0, sizeof(*drained));
	c->consumer_position = consumer;
	c->producer_position = producer;
	c->data = (const char *)producer + page;
	c->mask = size - 1;
	c->at = c->given = load_acquire64(consumer);
	c->end = load_acquire64(producer);
	drained->backlog = c->end - c->at;
}

static void give_back(struct cursor *c)
{
	if (c->given != c->at) {
		store_release64(c->consumer_position, c->at);
		c->given = c->at;
	}
}

static uint64_t total(uint32_t header)
{
	return (((uint64_t)(header & ~(BUSY | DISCARDED)) + HEADER) + 7) & ~7ull;
}

static uint32_t header_at(const struct cursor *c)
{
	return __atomic_load_n((const uint32_t *)(c->data + (c->at & c->mask)), __ATOMIC_ACQUIRE);
}

/*
 * The header of the next committed record, or 0 with *state* telling why not.
 *
 * Before it says "nothing": a producer commits, then looks whether we have caught up, and wakes us only then. Without a
 * full fence between our store of the position and our second look at its record, both can read the old value: the record
 * stays, nobody wakes (Linux kernel/bpf/ringbuf.c, bpf_ringbuf_commit; the same fix as aya 7277a57e).
 */
enum state { COMMITTED, EMPTY, WRITING, BROKEN };

static enum state next(struct cursor *c, uint32_t *header)
{
	int looked_again = 0;

	for (;;) {
		enum state state = EMPTY;

		if (c->at == c->end)
			c->end = load_acquire64(c->producer_position);
		if (c->at != c->end) {
			*header = header_at(c);
			if (!(*header & BUSY)) {
				uint64_t size = total(*header);

				return size > c->end - c->at || size > c->mask + 1 ? BROKEN : COMMITTED;
			}
			state = WRITING;
		}
		if (looked_again)
			return state;
		give_back(c);
		fence();
		looked_again = 1;
	}
}

static void advance(struct cursor *c, uint32_t header)
{
	c->at += total(header);
	if (c->at - c->given >= GIVE_BACK)
		give_back(c);
}

/*
 * How many of *count* headers, *stride* apart, are *header*: nothing else than a committed record of that length.
 *
 * A record's place follows from the length of the one before it, so a reader that goes from header to header waits for
 * memory at each. Here the places are taken for granted and eight are loaded at once; one that is no header after all
 * has another header before it that differs. The payloads are read after the fence.
 */
enum { AHEAD = 8192 };

static uint32_t same_headers(const char *at, uint32_t count, uint64_t stride, uint32_t header)
{
	uint32_t found = 0;

#define HEADER_AT(number) __atomic_load_n((const uint32_t *)(at + (number) * stride), __ATOMIC_RELAXED)
	for (; found + 8 <= count; found += 8, at += 8 * stride) {
		/* The processor's own prefetch ends at each page, of which there is one for 57 records of 64 bytes. */
		for (int number = 0; number < 8; number++)
			__builtin_prefetch(at + AHEAD + number * stride);
		__builtin_prefetch(at + 2 * AHEAD);

		uint32_t differ = (HEADER_AT(0) ^ header) | (HEADER_AT(1) ^ header) | (HEADER_AT(2) ^ header) |
				  (HEADER_AT(3) ^ header) | (HEADER_AT(4) ^ header) | (HEADER_AT(5) ^ header) |
				  (HEADER_AT(6) ^ header) | (HEADER_AT(7) ^ header);

		if (differ)
			break;
	}
	for (; found < count && HEADER_AT(0) == header; found++)
		at += stride;
#undef HEADER_AT
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return found;
}

/* How many records like the next one, which is there, are to be copied in one go: about what fits the nearest cache. */
static uint32_t run_of(const struct cursor *c, uint32_t header, uint64_t limit, uint64_t slots)
{
	uint64_t most = c->end - c->at;

	most = most < GIVE_BACK ? most : GIVE_BACK;
	most = (most <= c->mask ? most : c->mask + 1) / total(header); /* the data is mapped twice, and no more */
	most = most < limit ? most : limit;
	most = most < slots ? most : slots;
	return most > 1 ? same_headers(c->data + (c->at & c->mask), (uint32_t)most, total(header), header) : 1;
}

/* Sets busy or more from what the last look saw. */
static int finish(struct cursor *c, enum state state, struct ring_drained *drained)
{
	give_back(c);
	drained->busy = state == WRITING;
	drained->more = state == COMMITTED;
	return state == BROKEN ? -EIO : 0;
}

static inline __attribute__((always_inline)) enum state
fixed(struct cursor *c, uint32_t stride, char *out, uint64_t out_size, uint32_t limit, struct ring_drained *drained)
{
	uint64_t slots = out_size / stride;
	enum state state;
	uint32_t header;

	while ((state = next(c, &header)) == COMMITTED) {
		uint32_t length, records;

		if (header & DISCARDED) {
			drained->discarded++;
			advance(c, header);
			/* A program that only discards must not hold the caller here for ever: it counts as much as a record. */
			if (drained->discarded >= limit)
				return next(c, &header);
			continue;
		}
		if (drained->records >= limit || drained->records >= slots)
			break;
		length = header;
		if (length < stride) {
			drained->odd = 1;
			drained->odd_length = length;
			break;
		}
		records = run_of(c, header, limit - drained->records, slots - drained->records);
		for (uint32_t number = 0; number < records; number++, out += stride)
			memcpy(out, c->data + (c->at & c->mask) + number * total(header) + HEADER, stride);
		drained->records += records;
		drained->longer += length > stride ? records : 0;
		c->at += records * total(header);
		if (c->at - c->given >= GIVE_BACK)
			give_back(c);
	}
	return state;
}

int ring_drain_fixed(void *consumer, const void *producer, uint64_t page, uint64_t size, uint32_t stride, void *out,
		     uint64_t out_size, uint32_t limit, struct ring_drained *drained)
{
	struct cursor c;
	enum state state;

	begin(&c, consumer, producer, page, size, drained);
	if (stride == 0)
		return -EINVAL;
	/* A constant lets the compiler copy the commonest strides with vector moves instead of a call. */
	switch (stride) {
	case 8: state = fixed(&c, 8, out, out_size, limit, drained); break;
	case 16: state = fixed(&c, 16, out, out_size, limit, drained); break;
	case 24: state = fixed(&c, 24, out, out_size, limit, drained); break;
	case 32: state = fixed(&c, 32, out, out_size, limit, drained); break;
	case 48: state = fixed(&c, 48, out, out_size, limit, drained); break;
	case 64: state = fixed(&c, 64, out, out_size, limit, drained); break;
	case 128: state = fixed(&c, 128, out, out_size, limit, drained); break;
	default: state = fixed(&c, stride, out, out_size, limit, drained); break;
	}
	drained->bytes = drained->room = (uint64_t)drained->records * stride;
	return finish(&c, state, drained);
}

/* Records of any length, each at a multiple of 8 in *out*; offsets and lengths (bytes) have room for *limit* each. */
int ring_drain(void *consumer, const void *producer, uint64_t page, uint64_t size, void *out, uint64_t out_size,
	       uint32_t *offsets, uint32_t *lengths, uint32_t limit, struct ring_drained *drained)
{
	struct cursor c;
	enum state state;
	uint64_t used = 0;
	uint32_t header;

	begin(&c, consumer, producer, page, size, drained);
	if (out_size > UINT32_MAX)
		out_size = UINT32_MAX;
	while ((state = next(&c, &header)) == COMMITTED) {
		if (header & DISCARDED) {
			drained->discarded++;
			advance(&c, header);
			if (drained->discarded >= limit) {
				state = next(&c, &header);
				break;
			}
			continue;
		}
		if (drained->records >= limit)
			break;
		if (header > out_size - used) {
			drained->odd = drained->records == 0;
			drained->odd_length = header;
			break;
		}
		memcpy((char *)out + used, c.data + (c.at & c.mask) + HEADER, header);
		offsets[drained->records] = (uint32_t)used;
		lengths[drained->records] = header;
		drained->records++;
		drained->bytes += header;
		used += ((uint64_t)header + 7) & ~7ull;
		if (used > out_size)
			used = out_size;
		advance(&c, header);
	}
	drained->room = used;
	return finish(&c, state, drained);
}

int ring_run(void *consumer, const void *producer, uint64_t page, uint64_t size, uint32_t limit, uint64_t room,
	     struct ring_run *run)
{
	struct ring_drained drained;
	struct cursor c;
	enum state state;
	uint32_t header;
	uint64_t there;

	begin(&c, consumer, producer, page, size, &drained);
	memset(run, 0, sizeof(*run));
	run->backlog = drained.backlog;
	while ((state = next(&c, &header)) == COMMITTED && header & DISCARDED) {
		advance(&c, header);
		if (++run->discarded >= limit)
			break;
	}
	give_back(&c);
	run->start = c.at;
	run->busy = state == WRITING;
	if (state != COMMITTED || header & DISCARDED)
		return state == BROKEN ? -EIO : 0;
	run->length = header;
	run->stride = total(header);
	/* The data is mapped twice, and no more: a producer position that is further away than that is a lie. */
	there = c.end - c.at < size ? c.end - c.at : size;
	if (there > room)
		there = room > run->stride ? room : run->stride;
	there /= run->stride;
	run->records = same_headers(c.data + (c.at & c.mask), there < limit ? there : limit, run->stride, header);
	return 0;
}

void ring_run_copy(const void *records, uint64_t stride, uint32_t count, void *out, uint32_t row)
{
	const char *from = (const char *)records + HEADER;
	char *to = out;

	for (uint32_t number = 0; number < count; number++, from += stride, to += row)
		memcpy(to, from, row);
}

enum {
	OVERWRITE_POSITION = 16, /* in the producer's page, behind its position and that of what is being written */
	LAPS = 64,		 /* times that a drain begins anew behind what it was overtaken by */
};

static uint64_t overwrite_position(const void *producer)
{
	return load_acquire64((const char *)producer + OVERWRITE_POSITION);
}

/*
 * ring_drain for a ring whose producers overwrite the oldest records (BPF_F_RB_OVERWRITE, 6.19). They move the overwrite
 * position past a record before they write over it (__bpf_ringbuf_reserve), so a copy is whole if that position has not
 * passed it after it was made.
 */
int ring_drain_overwritten(void *consumer, const void *producer, uint64_t page, uint64_t size, void *out,
			   uint64_t out_size, uint32_t *offsets, uint32_t *lengths, uint32_t limit,
			   struct ring_drained *drained)
{
	const char *data = (const char *)producer + page;
	uint64_t at = load_acquire64(consumer);
	uint64_t end = load_acquire64(producer);
	uint64_t used = 0;
	int laps = 0;
	int error = 0;

	memset(drained, 0, sizeof(*drained));
	drained->backlog = end - at < size ? end - at : size;
	if (out_size > UINT32_MAX)
		out_size = UINT32_MAX;
	while (drained->records < limit && drained->discarded < limit) {
		uint64_t over = overwrite_position(producer);
		uint32_t header = 0;
		uint32_t length = 0;
		int fits = 0;

		if (over <= at) {
			if (at >= end) {
				end = load_acquire64(producer);
				if (at >= end)
					break;
			}
			header = __atomic_load_n((const uint32_t *)(data + (at & (size - 1))), __ATOMIC_ACQUIRE);
			length = header & ~(BUSY | DISCARDED);
			fits = length <= out_size - used && length <= size - HEADER;
			if (fits && !(header & (BUSY | DISCARDED)))
				memcpy((char *)out + used, data + (at & (size - 1)) + HEADER, length);
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			over = overwrite_position(producer);
		}
		if (over > at) {
			drained->overwritten += over - at;
			at = over;
			if (++laps > LAPS)
				break;
			continue;
		}
		if (header & BUSY) {
			drained->busy = 1;
			break;
		}
		if (total(header) > end - at || total(header) > size) {
			error = -EIO;
			break;
		}
		if (header & DISCARDED) {
			drained->discarded++;
		} else if (!fits) {
			drained->odd = drained->records == 0;
			drained->odd_length = length;
			drained->more = 1;
			break;
		} else {
			offsets[drained->records] = (uint32_t)used;
			lengths[drained->records] = length;
			drained->records++;
			drained->bytes += length;
			used += ((uint64_t)length + 7) & ~7ull;
			if (used > out_size)
				used = out_size;
		}
		at += total(header);
	}
	store_release64(consumer, at);
	drained->room = used;
	return error;
}
