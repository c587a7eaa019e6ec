#define _GNU_SOURCE
#include "maps.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Our own view of union bpf_attr (UAPI bpf.h), so that a build host with old headers gives the same unit. */
struct element {
	uint32_t map_fd;
	uint32_t pad;
	uint64_t key;
	uint64_t value;
	uint64_t flags;
};

struct batch {
	uint64_t in_batch;
	uint64_t out_batch;
	uint64_t keys;
	uint64_t values;
	uint32_t count;
	uint32_t map_fd;
	uint64_t element_flags;
	uint64_t flags;
};

enum {
	LOOKUP = 1,
	UPDATE = 2,
	DELETE = 3,
	NEXT_KEY = 4,
	LOOKUP_AND_DELETE = 21,
};

static int descriptor(const int *owner)
{
	return __atomic_load_n(owner, __ATOMIC_ACQUIRE);
}

static int element(int fd, int command, const void *key, const void *value, uint64_t flags)
{
	struct element attr = {
		.map_fd = (uint32_t)fd,
		.key = (uintptr_t)key,
		.value = (uintptr_t)value,
		.flags = flags,
	};

	return syscall(__NR_bpf, command, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int map_lookup(const int *owner, const void *key, void *value, uint64_t flags)
{
	return element(descriptor(owner), LOOKUP, key, value, flags);
}

int map_update(const int *owner, const void *key, const void *value, uint64_t flags)
{
	return element(descriptor(owner), UPDATE, key, value, flags);
}

int map_delete(const int *owner, const void *key)
{
	return element(descriptor(owner), DELETE, key, NULL, 0);
}

int map_take(const int *owner, const void *key, void *value, uint64_t flags)
{
	return element(descriptor(owner), LOOKUP_AND_DELETE, key, value, flags);
}

int map_next_key(const int *owner, const void *key, void *next)
{
	return element(descriptor(owner), NEXT_KEY, key, next, 0);
}

/* One batch command. *count* goes in as the room and comes back as what was done, on failure too. */
int map_batch(const int *owner, int command, const void *in, void *out, void *keys, void *values, uint32_t *count,
	      uint64_t element_flags)
{
	struct batch attr = {
		.in_batch = (uintptr_t)in,
		.out_batch = (uintptr_t)out,
		.keys = (uintptr_t)keys,
		.values = (uintptr_t)values,
		.count = *count,
		.map_fd = (uint32_t)descriptor(owner),
		.element_flags = element_flags,
	};
	int result = syscall(__NR_bpf, command, &attr, sizeof(attr)) < 0 ? -errno : 0;

	*count = attr.count;
	return result;
}

/*
 * The elements after *start* (NULL: from the first), for maps without a batch lookup: up to *count keys and values,
 * packed; *count comes back as how many. Returns 0 where there may be more, -ENOENT at the end.
 *
 * A sparse array (of maps, of programs) has a key for each hole but no value: at most *count keys are tried in one call.
 * Where that was not enough, the key to go on from stands behind the last one found.
 *
 * An element deleted between its key and its value is left out. A hash map starts anew after a deleted key, so a caller
 * that wants an end must stop after max_entries.
 */
int map_walk(const int *owner, const void *start, void *keys, void *values, uint32_t key_size, uint32_t value_size,
	     uint64_t flags, uint32_t *count)
{
	const uint32_t room = *count;
	const void *previous = start;
	uint32_t tries = room;
	uint32_t done = 0;
	int result = 0;

	*count = 0;
	while (done < room && tries--) {
		int fd = descriptor(owner);
		char *key = (char *)keys + (size_t)done * key_size;

		result = element(fd, NEXT_KEY, previous, key, 0);
		if (result)
			break;
		previous = key;
		result = element(fd, LOOKUP, key, (char *)values + (size_t)done * value_size, flags);
		if (result == 0)
			done++;
		else if (result != -ENOENT)
			break;
		result = 0;
	}
	if (!result && done < room && previous != (char *)keys + (size_t)done * key_size)
		memcpy((char *)keys + (size_t)done * key_size, previous, key_size);
	*count = done;
	return result;
}

/* Updates or deletes packed elements one by one, for maps without that batch command. Stops at the first failure; *count
 * comes back as how many were done. */
int map_each(const int *owner, int command, const void *keys, const void *values, uint32_t key_size,
	     uint32_t value_size, uint64_t flags, uint32_t *count)
{
	const uint32_t given = *count;
	uint32_t done;
	int result = 0;

	for (done = 0; done < given; done++) {
		result = element(descriptor(owner), command, (const char *)keys + (size_t)done * key_size,
				 values ? (const char *)values + (size_t)done * value_size : NULL, flags);
		if (result)
			break;
	}
	*count = done;
	return result;
}
