/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Counting the events that found no room: a ring buffer tells nobody that it was full.
 *
 *	struct {
 *		__uint(type, BPF_MAP_TYPE_RINGBUF);
 *		__uint(max_entries, 1 << 20);
 *		__type(value, struct event);
 *	} events SEC(".maps");
 *	LOST_EVENTS(events);
 *
 *	struct event *e = reserve_or_count(events, struct event);
 *	if (!e)
 *		return 0;
 *
 * LOST_EVENTS(NAME) is a per-CPU counter, the map NAME_lost. coll.stream("NAME") of aiobpf finds it by its name and adds
 * it to stream.stats.lost. A program that is preempted by another on the same CPU may not lose a count: hence the atomic.
 */
#ifndef __LOST_EVENTS_H
#define __LOST_EVENTS_H

#include <bpf/bpf_helpers.h>

#define LOST_EVENTS(ring)                                \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, 1);                  \
		__type(key, __u32);                      \
		__type(value, __u64);                    \
	} ring##_lost SEC(".maps")

static __always_inline void count_lost_in(void *map, __u64 events)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(map, &zero);

	if (lost)
		__sync_fetch_and_add(lost, events);
}

/* One event of *ring* was not submitted. */
#define count_lost(ring) count_lost_in(&ring##_lost, 1)

/* bpf_ringbuf_reserve for a *type*, counted where it fails; NULL then. */
#define reserve_or_count(ring, type)                                          \
	({                                                                    \
		type *__reserved = bpf_ringbuf_reserve(&ring, sizeof(type), 0); \
		if (!__reserved)                                              \
			count_lost(ring);                                     \
		__reserved;                                                   \
	})

/* bpf_ringbuf_output of *size* bytes at *data*, counted where it fails; what the helper returned. */
#define output_or_count(ring, data, size, flags)                              \
	({                                                                    \
		long __error = bpf_ringbuf_output(&ring, data, size, flags);  \
		if (__error)                                                  \
			count_lost(ring);                                     \
		__error;                                                      \
	})

#endif
