// SPDX-License-Identifier: MIT
/* Many map elements at once; what is written is made before, what is read is summed. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "side.h"

struct elements {
	uint32_t *keys;
	uint64_t *values;
};

static struct elements room_for(uint32_t count)
{
	return (struct elements){calloc(count, sizeof(uint32_t)), calloc(count, sizeof(uint64_t))};
}

static void end(struct elements elements, const char *what, int error, struct stopwatch took, uint64_t count,
		uint64_t sum)
{
	free(elements.keys);
	free(elements.values);
	if (error)
		answer_error(what, error);
	else
		answer(took, count, sum);
}

void bulk_lookup(char *const *arguments)
{
	int fd = argument(arguments, "fd"), error;
	uint32_t wanted = argument(arguments, "count"), cursor, count = wanted;
	struct elements elements = room_for(wanted);
	uint64_t sum = 0;
	struct stopwatch took = start();

	error = bpf_map_lookup_batch(fd, NULL, &cursor, elements.keys, elements.values, &count, NULL);
	for (uint32_t i = 0; i < count; i++)
		sum += elements.values[i];
	took = stop(took);
	end(elements, "bpf_map_lookup_batch", error && errno != ENOENT ? errno : 0, took, count, sum);
}

void bulk_update(char *const *arguments)
{
	int fd = argument(arguments, "fd"), error;
	uint32_t count = argument(arguments, "count"), done = count;
	uint64_t salt = argument(arguments, "salt");
	struct elements elements = room_for(count);
	struct stopwatch took;

	for (uint32_t i = 0; i < count; i++) {
		elements.keys[i] = i;
		elements.values[i] = i ^ salt;
	}
	took = start();
	error = bpf_map_update_batch(fd, elements.keys, elements.values, &done, NULL);
	took = stop(took);
	end(elements, "bpf_map_update_batch", error ? errno : 0, took, count, done);
}

void bulk_delete(char *const *arguments)
{
	int fd = argument(arguments, "fd"), error;
	uint32_t count = argument(arguments, "count"), done = count;
	struct elements elements = room_for(count);
	struct stopwatch took;

	for (uint32_t i = 0; i < count; i++)
		elements.keys[i] = i;
	took = start();
	error = bpf_map_delete_batch(fd, elements.keys, &done, NULL);
	took = stop(took);
	end(elements, "bpf_map_delete_batch", error ? errno : 0, took, count, done);
}
