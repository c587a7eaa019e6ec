// SPDX-License-Identifier: MIT
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "side.h"

struct traffic {
	uint64_t packets;
	uint64_t bytes;
};

void map_lookup(char *const *arguments)
{
	int fd = argument(arguments, "fd");
	uint32_t keys = argument(arguments, "keys");
	long count = argument(arguments, "count");
	uint64_t sum = 0;
	struct stopwatch took = start();

	for (long i = 0; i < count; i++) {
		uint32_t key = i % keys;
		struct traffic traffic;

		if (bpf_map_lookup_elem(fd, &key, &traffic)) {
			answer_error("bpf_map_lookup_elem", errno);
			return;
		}
		sum += traffic.bytes;
	}
	answer(stop(took), count, sum);
}

void map_update(char *const *arguments)
{
	int fd = argument(arguments, "fd");
	uint32_t keys = argument(arguments, "keys");
	long count = argument(arguments, "count");
	uint64_t salt = argument(arguments, "salt"), sum = 0;
	struct stopwatch took = start();

	for (long i = 0; i < count; i++) {
		uint32_t key = i % keys;
		struct traffic traffic = {.packets = i, .bytes = key * 64 + salt};

		if (bpf_map_update_elem(fd, &key, &traffic, BPF_ANY)) {
			answer_error("bpf_map_update_elem", errno);
			return;
		}
		sum += key;
	}
	answer(stop(took), count, sum);
}

enum { CHUNK = 65536 };

void map_scan(char *const *arguments)
{
	int fd = argument(arguments, "fd");
	uint64_t entries = argument(arguments, "count"), found = 0, sum = 0;
	uint32_t *keys = malloc(entries * sizeof(*keys));
	uint64_t *values = malloc(entries * sizeof(*values));
	uint32_t cursor, chunk;
	struct stopwatch took = start();
	int error = 0;

	while (!error && found < entries) {
		chunk = entries - found < CHUNK ? entries - found : CHUNK;
		error = bpf_map_lookup_batch(fd, found ? &cursor : NULL, &cursor, keys + found, values + found, &chunk, NULL);
		if (!error || errno == ENOENT)
			found += chunk;
	}
	for (uint64_t i = 0; i < found; i++)
		sum += values[i];
	took = stop(took);
	free(keys);
	free(values);
	if (error && errno != ENOENT)
		answer_error("bpf_map_lookup_batch", errno);
	else
		answer(took, found, sum);
}
