#ifndef AIOBPF_BTF_INDEX_H
#define AIOBPF_BTF_INDEX_H

#include <stdint.h>

/* A stretch of the string table: a split BTF goes on where its base ended. Its last byte is 0; the caller checked it. */
struct btf_strings {
	const char *data;
	uint32_t first;
	uint32_t length;
};

/*
 * One BTF, or the part that a split BTF adds. The caller owns every array and keeps it alive; types need not be aligned.
 * An index here counts from 0, whatever id the first type has.
 */
struct btf_view {
	const uint8_t *types;
	uint32_t types_length;
	uint32_t is_swapped;
	const uint8_t *layout;		/* 4 bytes for each kind from 0 on; may be NULL */
	uint32_t layout_kinds;
	uint32_t names_end;		/* no name may begin at or after it */
	const struct btf_strings *strings;
	uint32_t string_count;
	uint32_t type_count;
	uint32_t *offsets;		/* type_count, filled by btf_index */
	uint32_t *next;			/* type_count + 1, filled by btf_index_names */
	uint32_t *heads;		/* bucket_mask + 1 (a power of two), all 0 before btf_index_names */
	uint32_t bucket_mask;
};

int64_t btf_index(const struct btf_view *view, uint32_t *offsets, uint32_t *where);
void btf_index_names(const struct btf_view *view);
uint32_t btf_find(const struct btf_view *view, const char *name, uint32_t length, int by_essential_name, uint32_t *found,
		  uint32_t capacity);
uint32_t btf_find_kind(const struct btf_view *view, uint32_t kind, uint32_t *found, uint32_t capacity);

#endif
