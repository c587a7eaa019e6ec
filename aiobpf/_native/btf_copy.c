/*
 * A type with all that it needs, copied from one BTF into another: ids change, and nothing else.
 *
 * A load hands the kernel the types of its maps and functions. They lie in the object's BTF as the kernel wants them but
 * for their ids, and as Python objects they would cost more than the rest of a small load. Nothing is copied but words
 * that btf_index has found to lie inside the types; a reference is checked when it is followed.
 */
#include "btf_copy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum {
	KIND_INT = 1, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM, KIND_FWD, KIND_TYPEDEF, KIND_VOLATILE,
	KIND_CONST, KIND_RESTRICT, KIND_FUNC, KIND_FUNC_PROTO, KIND_VAR, KIND_DATASEC, KIND_FLOAT, KIND_DECL_TAG,
	KIND_TYPE_TAG, KIND_ENUM64,
};

/* What a kernel may not know yet, in the order of BtfFeature. */
enum {
	USES_FUNC = 1 << 0, USES_KIND_FLAG = 1 << 1, USES_DATASEC = 1 << 2, USES_FUNC_LINKAGE = 1 << 3,
	USES_FLOAT = 1 << 4, USES_DECL_TAG = 1 << 5, USES_TYPE_TAG = 1 << 6, USES_ENUM64 = 1 << 7,
	USES_ATTRIBUTE_TAG = 1 << 8, USES_WIDE_VLEN = 1 << 9,
};

/* Which words of a kind are ids: the third of the head, those right behind it, and one of each of its parts. */
struct shape {
	uint8_t head;
	uint8_t behind;		/* how many words behind the head are ids */
	uint8_t fixed;		/* words behind the head, before the parts */
	uint8_t each;		/* words of a part */
	uint8_t place;		/* of the id in a part; `each` where there is none */
};

static const struct shape SHAPES[] = {
	[KIND_INT] = { 0, 0, 1, 0, 0 },
	[KIND_PTR] = { 1, 0, 0, 0, 0 },
	[KIND_ARRAY] = { 0, 2, 3, 0, 0 },
	[KIND_STRUCT] = { 0, 0, 0, 3, 1 },
	[KIND_UNION] = { 0, 0, 0, 3, 1 },
	[KIND_ENUM] = { 0, 0, 0, 2, 2 },
	[KIND_FWD] = { 0, 0, 0, 0, 0 },
	[KIND_TYPEDEF] = { 1, 0, 0, 0, 0 },
	[KIND_VOLATILE] = { 1, 0, 0, 0, 0 },
	[KIND_CONST] = { 1, 0, 0, 0, 0 },
	[KIND_RESTRICT] = { 1, 0, 0, 0, 0 },
	[KIND_FUNC] = { 1, 0, 0, 0, 0 },
	[KIND_FUNC_PROTO] = { 1, 0, 0, 2, 1 },
	[KIND_VAR] = { 1, 0, 1, 0, 0 },
	[KIND_DATASEC] = { 0, 0, 0, 3, 0 },
	[KIND_FLOAT] = { 0, 0, 0, 0, 0 },
	[KIND_DECL_TAG] = { 1, 0, 1, 0, 0 },
	[KIND_TYPE_TAG] = { 1, 0, 0, 0, 0 },
	[KIND_ENUM64] = { 0, 0, 0, 3, 3 },
};

static const uint8_t *type_at(const struct btf_view *view, uint32_t id)
{
	return view->data + view->types + btf_offset(view, id - 1);
}

static uint32_t word(const uint8_t *type, uint32_t index)
{
	uint32_t value;

	memcpy(&value, type + 4 * (size_t)index, sizeof(value));
	return value;
}

static uint32_t kind_of(const uint8_t *type)
{
	return (word(type, 1) >> 24) & 0x7f;
}

/* A function's vlen is its linkage. */
static uint32_t parts_of(const uint8_t *type)
{
	return SHAPES[kind_of(type)].each ? word(type, 1) & 0xffffff : 0;
}

static uint32_t words_of(const uint8_t *type)
{
	const struct shape *shape = &SHAPES[kind_of(type)];

	return 3 + shape->fixed + shape->each * parts_of(type);
}

static uint32_t uses_of(const uint8_t *type)
{
	uint32_t info = word(type, 1), flag = info >> 31;
	uint32_t uses = parts_of(type) > 0xffff ? USES_WIDE_VLEN : 0;

	switch (kind_of(type)) {
	case KIND_STRUCT:
	case KIND_UNION:
		return uses | (flag ? USES_KIND_FLAG : 0);
	case KIND_ENUM:
		return uses | (flag ? USES_ENUM64 : 0);
	case KIND_ENUM64:
		return uses | USES_ENUM64;
	case KIND_FUNC:
		return uses | USES_FUNC | (info & 0xffffff ? USES_FUNC_LINKAGE : 0);
	case KIND_FUNC_PROTO:
		return uses | USES_FUNC;
	case KIND_VAR:
	case KIND_DATASEC:
		return uses | USES_DATASEC;
	case KIND_FLOAT:
		return uses | USES_FLOAT;
	case KIND_DECL_TAG:
		return uses | USES_DECL_TAG | (flag ? USES_ATTRIBUTE_TAG : 0);
	case KIND_TYPE_TAG:
		return uses | USES_TYPE_TAG | (flag ? USES_ATTRIBUTE_TAG : 0);
	default:
		return uses;
	}
}

static int take_one(const struct btf_view *view, struct btf_copy *copy, uint32_t id, uint32_t *next_id)
{
	const uint8_t *type;

	if (!id)
		return 0;
	if (id > view->type_count)
		return -EINVAL;
	if (copy->new_ids[id])
		return 0;
	type = type_at(view, id);
	if (kind_of(type) < KIND_INT || kind_of(type) > KIND_ENUM64)
		return -ENOTSUP;
	copy->new_ids[id] = (*next_id)++;
	copy->taken[copy->count++] = id;
	copy->uses |= uses_of(type);
	return 0;
}

static int take_references(const struct btf_view *view, struct btf_copy *copy, uint32_t id, uint32_t *next_id)
{
	const uint8_t *type = type_at(view, id);
	const struct shape *shape = &SHAPES[kind_of(type)];
	uint32_t parts = parts_of(type);
	int error = 0;

	if (shape->head)
		error = take_one(view, copy, word(type, 2), next_id);
	for (uint32_t i = 0; !error && i < shape->behind; i++)
		error = take_one(view, copy, word(type, 3 + i), next_id);
	if (shape->place < shape->each) {
		for (uint32_t i = 0; !error && i < parts; i++)
			error = take_one(view, copy, word(type, 3 + shape->fixed + i * shape->each + shape->place),
					 next_id);
	}
	return error;
}

/*
 * Takes type *wanted* with all that it leads to, as ids from *next_id* on, and the declaration tags among *tags* that are on
 * any of it. The number of types taken; on -errno none is: -EINVAL a reference leads nowhere, -ENOTSUP a kind is not known.
 * A list that grows, so the depth of the types does not matter.
 */
int64_t btf_take(const struct btf_view *view, struct btf_copy *copy, uint32_t wanted, uint32_t next_id,
		 const uint32_t *tags, uint32_t tag_count)
{
	uint32_t start = copy->count, at = start;
	int error = take_one(view, copy, wanted, &next_id);

	while (!error && at < copy->count)
		error = take_references(view, copy, copy->taken[at++], &next_id);
	/* What a tag is on is no tag, and all else that it has is a number. */
	for (uint32_t i = 0; !error && at > start && i < tag_count; i++) {
		const uint8_t *tag = type_at(view, tags[i]);

		if (!(word(tag, 1) >> 31) && word(tag, 2) <= view->type_count && copy->new_ids[word(tag, 2)])
			error = take_one(view, copy, tags[i], &next_id);
	}
	if (error) {
		btf_untake(copy, start);
		return error;
	}
	return copy->count - start;
}

/* Gives back all but the first *count*. */
void btf_untake(struct btf_copy *copy, uint32_t count)
{
	while (copy->count > count)
		copy->new_ids[copy->taken[--copy->count]] = 0;
}

/* Writes types *first* to *end* of those taken, and says how many bytes they are; with no *out* it only says. */
uint64_t btf_put(const struct btf_view *view, const struct btf_copy *copy, uint32_t first, uint32_t end, uint8_t *out)
{
	uint64_t size = 0;

	for (uint32_t i = first; i < end; i++) {
		const uint8_t *type = type_at(view, copy->taken[i]);
		const struct shape *shape = &SHAPES[kind_of(type)];
		uint32_t words = words_of(type), parts = parts_of(type);

		if (out) {
			uint8_t *to = out + size;

			memcpy(to, type, 4 * (size_t)words);
			if (shape->head)
				memcpy(to + 8, &copy->new_ids[word(type, 2)], 4);
			for (uint32_t j = 0; j < shape->behind; j++)
				memcpy(to + 12 + 4 * j, &copy->new_ids[word(type, 3 + j)], 4);
			for (uint32_t j = 0; shape->place < shape->each && j < parts; j++) {
				size_t place = 3 + shape->fixed + (size_t)j * shape->each + shape->place;

				memcpy(to + 4 * place, &copy->new_ids[word(type, (uint32_t)place)], 4);
			}
		}
		size += 4 * (uint64_t)words;
	}
	return size;
}
