/*
 * Where each type of a BTF is, and which types have a name: one pass each over bytes that nobody has checked.
 *
 * A kernel has 126,000 types in 5.5 MB. Finding where they are takes Python 80 ms and this 1 ms, and a good part of that is
 * the memory written, at up to 2 us for each page that is touched first: so every eighth place is kept, half a byte a
 * type, and the others are found from there. A name index is made when the first name is asked for. There are two: four
 * in five named types of a kernel are functions, and CO-RE asks for none of them.
 */
#include "btf_index.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum {
	HEADER = 12,
	KIND_FUNC = 12,
	STEP = 8,
	LAST_KIND = 19,
	/*
	 * A name counts up to here: the kernel stops at 512, and every type of a hostile BTF may be named by the same
	 * five megabytes.
	 */
	NAME_LIMIT = 1024,
};

struct kind_size {
	uint8_t fixed;
	uint8_t each;
};

/* What follows the 12 bytes of each kind: UAPI btf.h. */
static const struct kind_size SIZES[LAST_KIND + 1] = {
	[1] = { 4, 0 },		/* INT */
	[3] = { 12, 0 },	/* ARRAY */
	[4] = { 0, 12 },	/* STRUCT */
	[5] = { 0, 12 },	/* UNION */
	[6] = { 0, 8 },		/* ENUM */
	[13] = { 0, 8 },	/* FUNC_PROTO */
	[14] = { 4, 0 },	/* VAR */
	[15] = { 0, 12 },	/* DATASEC */
	[17] = { 4, 0 },	/* DECL_TAG */
	[19] = { 0, 12 },	/* ENUM64 */
};

static uint32_t load(const uint8_t *at, int is_swapped)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return is_swapped ? __builtin_bswap32(value) : value;
}

static uint32_t word(const struct btf_view *view, uint32_t offset)
{
	return load(view->data + view->types + offset, view->is_swapped);
}

/* Inlined for either byte order: a kernel has 126,000 types, and the question would be asked of each four times. */
/* The size of a type whose head is inside the section; 0 for a kind that is unknown and has no layout. */
static inline uint64_t size_of(const struct btf_view *view, uint32_t info)
{
	uint32_t kind = (info >> 24) & 0x7f;

	if (kind >= 1 && kind <= LAST_KIND)
		return HEADER + SIZES[kind].fixed + (uint64_t)SIZES[kind].each * (info & 0xffffff);
	if (kind && kind < view->layout_kinds) {
		const uint8_t *layout = view->data + view->layout + 4 * kind;

		return HEADER + layout[0] + (uint64_t)layout[1] * (info & 0xffffff);
	}
	return 0;
}

/* Inlined for either byte order: a kernel has 126,000 types, and the question would be asked of each four times. */
static inline __attribute__((always_inline)) int64_t index_types(const struct btf_view *view, uint32_t *marks,
								 struct btf_named *others, uint32_t capacity,
								 struct btf_counts *counts, int is_swapped)
{
	const uint8_t *types = view->data + view->types;
	uint32_t length = view->types_length, names_end = view->names_end;
	uint32_t offset = 0, function_count = 0, other_count = 0, count = 0;

	while (offset < length) {
		uint32_t left = length - offset;
		uint32_t name, info, is_function;
		uint64_t size;

		counts->where = offset;
		if (left < HEADER)
			return -ENODATA;
		name = load(types + offset, is_swapped);
		info = load(types + offset + 4, is_swapped);
		size = size_of(view, info);
		if (!size)
			return -ENOTSUP;
		if (size > left)
			return -ENODATA;
		if (name >= names_end && name)
			return -EINVAL;
		if (count % STEP == 0)
			marks[count / STEP] = offset;
		is_function = ((info >> 24) & 0x7f) == KIND_FUNC;
		function_count += is_function;
		/* Written always, counted where it has a name: no branch that the processor would guess wrong. */
		if (other_count < capacity)
			others[other_count] = (struct btf_named){ count, name };
		other_count += name && !is_function;
		count++;
		offset += (uint32_t)size;
	}
	counts->functions = function_count;
	counts->others = other_count;
	return count;
}

/*
 * The number of types, which is *capacity* at the most; where each eighth is goes to *marks*, and to *others* those that
 * have a name and are no functions. On -errno `where` is the offset of the type at fault: -ENODATA it runs past the end,
 * -ENOTSUP its kind is unknown and has no layout, -EINVAL its name begins past the strings.
 */
int64_t btf_index(const struct btf_view *view, uint32_t *marks, struct btf_named *others, uint32_t capacity,
		  struct btf_counts *counts)
{
	return view->is_swapped ? index_types(view, marks, others, capacity, counts, 1)
				: index_types(view, marks, others, capacity, counts, 0);
}

/* Where the type of that index is, from the start of the types. */
uint32_t btf_offset(const struct btf_view *view, uint32_t index)
{
	uint32_t offset = view->marks[index / STEP];

	for (uint32_t i = index % STEP; i > 0; i--)
		offset += (uint32_t)size_of(view, word(view, offset + 4));
	return offset;
}

/* The functions among the types, for as many as there are members. */
void btf_collect_functions(const struct btf_view *view)
{
	const struct btf_names *names = &view->names[1];
	uint32_t offset = 0, count = 0;

	for (uint32_t i = 0; i < view->type_count && count < names->count; i++) {
		uint32_t info = word(view, offset + 4);

		if (((info >> 24) & 0x7f) == KIND_FUNC)
			names->members[count++] = (struct btf_named){ i, word(view, offset) };
		offset += (uint32_t)size_of(view, info);
	}
}

/* The name at *offset* and its length (NAME_LIMIT at most), or NULL where there is no such string. */
static const char *name_at(const struct btf_view *view, uint32_t offset, uint32_t *length)
{
	for (uint32_t i = 0; i < view->string_count; i++) {
		const struct btf_strings *strings = &view->strings[i];

		if (offset >= strings->first && offset - strings->first < strings->length) {
			uint32_t begin = offset - strings->first;
			uint32_t limit = strings->length - begin;
			const char *name = (const char *)strings->data + strings->start + begin;

			*length = (uint32_t)strnlen(name, limit < NAME_LIMIT ? limit : NAME_LIMIT);
			return name;
		}
	}
	return NULL;
}

/*
 * How much of a name is left without its flavour: "task_struct___old" is a task_struct. The last three underscores
 * count that have something else on both sides, as in libbpf, so that "___x" and "a____b" have no flavour.
 */
static uint32_t essential_length_of_flavoured(const char *name, uint32_t length)
{
	for (uint32_t i = length; i >= 5; i--) {
		const char *s = name + i - 5;

		if (s[0] != '_' && s[1] == '_' && s[2] == '_' && s[3] == '_' && s[4] != '_')
			return i - 4;
	}
	return length;
}

static uint32_t essential_length(const char *name, uint32_t length)
{
	/* The middle underscore first: every third byte rules out most names, which have no three in a row. */
	for (uint32_t i = 2; i + 1 < length; i += 3) {
		if (name[i] == '_' && (name[i - 1] == '_' || name[i + 1] == '_'))
			return essential_length_of_flavoured(name, length);
	}
	return length;
}

static uint32_t hash(const char *name, uint32_t length)
{
	uint64_t h = length;

	for (; length >= 8; name += 8, length -= 8) {
		uint64_t eight;

		memcpy(&eight, name, 8);
		h = (h ^ eight) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	if (length) {
		uint64_t rest = 0;

		memcpy(&rest, name, length);
		h = (h ^ rest) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	h *= 0xbf58476d1ce4e5b9u;
	return (uint32_t)(h >> 32);
}

/*
 * Chains the members of one bucket through `next`, in order of their index. Chains, not open addressing: 400,000 types of
 * one name would make that quadratic.
 */
void btf_index_names(const struct btf_view *view, int of_functions)
{
	const struct btf_names *names = &view->names[!!of_functions];

	for (uint32_t i = names->count; i > 0; i--) {
		uint32_t length, bucket;
		const char *name = name_at(view, names->members[i - 1].name, &length);

		if (!name || !length)
			continue;
		bucket = hash(name, essential_length(name, length)) & names->mask;
		names->next[i] = names->heads[bucket];
		names->heads[bucket] = i;
	}
}

/*
 * How many functions, or types that are none, have that name, or with by_essential_name that name and any flavour; the
 * first *capacity* are stored.
 */
uint32_t btf_find(const struct btf_view *view, int of_functions, const char *name, uint32_t length, int by_essential_name,
		  uint32_t *found, uint32_t capacity)
{
	const struct btf_names *names = &view->names[!!of_functions];
	uint32_t limited = length < NAME_LIMIT ? length : NAME_LIMIT;
	uint32_t essential = by_essential_name ? limited : essential_length(name, limited);
	uint32_t count = 0;

	if (!length)
		return 0;
	for (uint32_t i = names->heads[hash(name, essential) & names->mask]; i; i = names->next[i]) {
		uint32_t other_length;
		const char *other = name_at(view, names->members[i - 1].name, &other_length);

		if (by_essential_name)
			other_length = essential_length(other, other_length);
		if (other_length != limited || memcmp(other, name, limited))
			continue;
		if (count < capacity)
			found[count] = names->members[i - 1].index;
		count++;
	}
	return count;
}

/* How many types are of that kind; the first *capacity* are stored. */
uint32_t btf_find_kind(const struct btf_view *view, uint32_t kind, uint32_t *found, uint32_t capacity)
{
	uint32_t offset = 0, count = 0;

	for (uint32_t i = 0; i < view->type_count; i++) {
		uint32_t info = word(view, offset + 4);

		offset += (uint32_t)size_of(view, info);
		if (((info >> 24) & 0x7f) != kind)
			continue;
		if (count < capacity)
			found[count] = i;
		count++;
	}
	return count;
}

/* How many types of that kind have a name that begins with *prefix*; the first *capacity* are stored. */
uint32_t btf_find_prefix(const struct btf_view *view, uint32_t kind, const char *prefix, uint32_t length, uint32_t *found,
			 uint32_t capacity)
{
	uint32_t offset = 0, count = 0;

	for (uint32_t i = 0; i < view->type_count; i++) {
		uint32_t name_offset = word(view, offset), info = word(view, offset + 4);
		uint32_t name_length;
		const char *name;

		offset += (uint32_t)size_of(view, info);
		if (((info >> 24) & 0x7f) != kind)
			continue;
		name = name_at(view, name_offset, &name_length);
		if (!name || name_length < length || memcmp(name, prefix, length))
			continue;
		if (count < capacity)
			found[count] = i;
		count++;
	}
	return count;
}
