#ifndef AIOBPF_BTF_COPY_H
#define AIOBPF_BTF_COPY_H

#include <stdint.h>

#include "btf_index.h"

/*
 * Types of one BTF on their way into another. The caller owns the arrays: new_ids has an entry for each id, all 0 at first,
 * taken one for each type. `uses` says which of the things that kernels learnt one by one the types need: a bit each, in
 * the order of aiobpf.btf.features.BtfFeature.
 */
struct btf_copy {
	uint32_t *new_ids;
	uint32_t *taken;		/* ids, in the order of their new ones */
	uint32_t count;
	uint32_t uses;
};

int64_t btf_take(const struct btf_view *view, struct btf_copy *copy, uint32_t wanted, uint32_t next_id,
		 const uint32_t *tags, uint32_t tag_count);
void btf_untake(struct btf_copy *copy, uint32_t count);
uint64_t btf_put(const struct btf_view *view, const struct btf_copy *copy, uint32_t first, uint32_t end, uint8_t *out);

#endif
