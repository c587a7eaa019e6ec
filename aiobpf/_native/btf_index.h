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

/* A type with a name; the index counts from 0, the name is its offset in the strings. */
struct btf_named {
	uint32_t index;
	uint32_t name;
};

/* Types with a name, ascending, and their hash: each bucket's first member, counted from 1, and the next of each one. */
struct btf_names {
	struct btf_named *members;
	uint32_t *heads;		/* mask + 1 (a power of two), all 0 before btf_index_names */
	uint32_t *next;			/* count + 1 */
	uint32_t count;
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
	uint32_t *marks;		/* where each eighth type is, from the start of the types */
	struct btf_names names[2];	/* of all types but functions, and of functions */
};

struct btf_counts {
	uint32_t functions;
	uint32_t others;
	uint32_t where;			/* of the type at fault, from the start of the types */
};

int64_t btf_index(const struct btf_view *view, uint32_t *marks, struct btf_named *others, uint32_t capacity,
		  struct btf_counts *counts);
uint32_t btf_offset(const struct btf_view *view, uint32_t index);
void btf_collect_functions(const struct btf_view *view);
void btf_index_names(const struct btf_view *view, int of_functions);
uint32_t btf_find(const struct btf_view *view, int of_functions, const char *name, uint32_t length, int by_essential_name,
		  uint32_t *found, uint32_t capacity);
uint32_t btf_find_kind(const struct btf_view *view, uint32_t kind, uint32_t *found, uint32_t capacity);
uint32_t btf_find_prefix(const struct btf_view *view, uint32_t kind, const char *prefix, uint32_t length, uint32_t *found,
			 uint32_t capacity);

#endif
