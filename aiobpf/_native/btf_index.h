#ifndef AIOBPF_BTF_INDEX_H
#define AIOBPF_BTF_INDEX_H

#include <stdint.h>

/* The strings of one file from *first* on: a split BTF goes on where its base ended. The last byte is 0, checked before. */
struct btf_strings {
	const uint8_t *data;
	uint64_t start;
	uint32_t first;
	uint32_t length;
};

/* The types of one hash: each bucket's first, counted from 1; `next` has those after it. */
struct btf_buckets {
	uint32_t *heads;		/* mask + 1 (a power of two), all 0 before btf_index_names */
	uint32_t mask;
};

/*
 * One BTF, or the part that a split BTF adds. The caller owns every array and keeps it alive; types need not be aligned.
 * An index here counts from 0, whatever id the first type has.
 */
struct btf_view {
	const uint8_t *data;
	uint64_t types;
	uint64_t layout;		/* 4 bytes for each kind from 0 on */
	uint32_t types_length;
	uint32_t layout_kinds;
	uint32_t is_swapped;
	uint32_t names_end;		/* no name may begin at or after it */
	const struct btf_strings *strings;
	uint32_t string_count;
	uint32_t type_count;
	uint32_t *offsets;		/* type_count; of each type, from the start of the types */
	uint32_t *next;			/* type_count + 1, filled by btf_index_names */
	struct btf_buckets names[2];	/* of all types but functions, and of functions */
};

int64_t btf_index(const struct btf_view *view, uint32_t *offsets, uint32_t capacity, uint32_t *functions,
		  uint32_t *where);
void btf_index_names(const struct btf_view *view, int of_functions);
uint32_t btf_find(const struct btf_view *view, int of_functions, const char *name, uint32_t length, int by_essential_name,
		  uint32_t *found, uint32_t capacity);
uint32_t btf_find_kind(const struct btf_view *view, uint32_t kind, uint32_t *found, uint32_t capacity);

#endif
