#ifndef AIOBPF_MAPS_H
#define AIOBPF_MAPS_H

#include <stdint.h>

/*
 * Map elements. *owner* is the cell of an OwnedFd; an empty one gives -EBADF. Each returns -errno.
 * Key and value have the sizes the map was made with (per-CPU values: the rounded value times possible CPUs); the caller
 * checked that.
 */

int map_lookup(const int *owner, const void *key, void *value, uint64_t flags);
int map_update(const int *owner, const void *key, const void *value, uint64_t flags);
int map_delete(const int *owner, const void *key);
int map_take(const int *owner, const void *key, void *value, uint64_t flags);
int map_next_key(const int *owner, const void *key, void *next);

int map_batch(const int *owner, int command, const void *in, void *out, void *keys, void *values, uint32_t *count,
	      uint64_t element_flags);

int map_walk(const int *owner, const void *start, void *keys, void *values, uint32_t key_size, uint32_t value_size,
	     uint64_t flags, uint32_t *count);
int map_each(const int *owner, int command, const void *keys, const void *values, uint32_t key_size,
	     uint32_t value_size, uint64_t flags, uint32_t *count);

#endif
