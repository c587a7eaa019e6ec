/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * CO-RE: reads and questions whose offsets, sizes and answers the loader fills in from the running kernel's BTF.
 *
 * The compiler records each __builtin_preserve_* as a relocation (.BTF.ext); the numbers below are its `kind`s.
 */
#ifndef __AIOBPF_BPF_CORE_READ_H__
#define __AIOBPF_BPF_CORE_READ_H__

enum bpf_field_info_kind {
	BPF_FIELD_BYTE_OFFSET = 0,
	BPF_FIELD_BYTE_SIZE = 1,
	BPF_FIELD_EXISTS = 2,
	BPF_FIELD_SIGNED = 3,
	BPF_FIELD_LSHIFT_U64 = 4,
	BPF_FIELD_RSHIFT_U64 = 5,
};

enum bpf_type_id_kind {
	BPF_TYPE_ID_LOCAL = 0,
	BPF_TYPE_ID_TARGET = 1,
};

enum bpf_type_info_kind {
	BPF_TYPE_EXISTS = 0,
	BPF_TYPE_SIZE = 1,
	BPF_TYPE_MATCHES = 2,
};

enum bpf_enum_value_kind {
	BPF_ENUMVAL_EXISTS = 0,
	BPF_ENUMVAL_VALUE = 1,
};

/* --- questions about fields: (pointer->field) or (struct type, field) ---------------------------------------------- */

#define ___bpf_core_field1(field) field
#define ___bpf_core_field2(type, field) ((typeof(type) *)0)->field
#define ___bpf_core_count(_1, _2, N, ...) N
#define ___bpf_core_paste_(a, b) a##b
#define ___bpf_core_paste(a, b) ___bpf_core_paste_(a, b)
#define ___bpf_core_field(args...) ___bpf_core_paste(___bpf_core_field, ___bpf_core_count(args, 2, 1))(args)

#define bpf_core_field_exists(field...)                                                                                \
	__builtin_preserve_field_info(___bpf_core_field(field), BPF_FIELD_EXISTS)
#define bpf_core_field_size(field...)                                                                                  \
	__builtin_preserve_field_info(___bpf_core_field(field), BPF_FIELD_BYTE_SIZE)
#define bpf_core_field_offset(field...)                                                                                \
	__builtin_preserve_field_info(___bpf_core_field(field), BPF_FIELD_BYTE_OFFSET)

/* --- questions about types and enumerators ------------------------------------------------------------------------- */

/* A null pointer's target: clang wants an expression of the type, and evaluates nothing. */
#define ___bpf_core_type(type) (*(typeof(type) *)0)

#define bpf_core_type_id_local(type) __builtin_btf_type_id(___bpf_core_type(type), BPF_TYPE_ID_LOCAL)
#define bpf_core_type_id_kernel(type) __builtin_btf_type_id(___bpf_core_type(type), BPF_TYPE_ID_TARGET)
#define bpf_core_type_exists(type) __builtin_preserve_type_info(___bpf_core_type(type), BPF_TYPE_EXISTS)
#define bpf_core_type_matches(type) __builtin_preserve_type_info(___bpf_core_type(type), BPF_TYPE_MATCHES)
#define bpf_core_type_size(type) __builtin_preserve_type_info(___bpf_core_type(type), BPF_TYPE_SIZE)
/* clang takes an enumerator only bare: *value* stays without parentheses. */
#define bpf_core_enum_value_exists(type, value)                                                                        \
	__builtin_preserve_enum_value(*(typeof(type) *)value, BPF_ENUMVAL_EXISTS)
#define bpf_core_enum_value(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, BPF_ENUMVAL_VALUE)

/* --- reads of kernel memory ---------------------------------------------------------------------------------------- */

#define bpf_core_read(to, size, from) bpf_probe_read_kernel(to, size, (const void *)__builtin_preserve_access_index(from))
#define bpf_core_read_str(to, size, from)                                                                              \
	bpf_probe_read_kernel_str(to, size, (const void *)__builtin_preserve_access_index(from))
#define bpf_core_read_user(to, size, from) bpf_probe_read_user(to, size, (const void *)__builtin_preserve_access_index(from))
#define bpf_core_read_user_str(to, size, from)                                                                         \
	bpf_probe_read_user_str(to, size, (const void *)__builtin_preserve_access_index(from))

/* A variable to read into must be writable, whatever the field is (clang since 19; before, const only warns). */
#if defined(__clang__) && __clang_major__ >= 19
#define ___bpf_writable_typeof(x) __typeof_unqual__(x)
#else
#define ___bpf_writable_typeof(x) typeof(x)
#endif

/* The same without CO-RE, for memory whose layout cannot change. */
#define ___bpf_read_kernel(to, size, from) bpf_probe_read_kernel(to, size, from)
#define ___bpf_read_kernel_str(to, size, from) bpf_probe_read_kernel_str(to, size, from)
#define ___bpf_read_user(to, size, from) bpf_probe_read_user(to, size, from)
#define ___bpf_read_user_str(to, size, from) bpf_probe_read_user_str(to, size, from)

/*
 * source->a->b->c, each arrow but the last through a read of its own into a variable of the pointer's type. *step*
 * reads the pointers, *last* the value.
 */
#define ___bpf_path1(step, last, to, source, a) last((void *)(to), sizeof(*(to)), &(source)->a)
#define ___bpf_path2(step, last, to, source, a, rest...)                                                               \
	({                                                                                                             \
		___bpf_writable_typeof((source)->a) ___pointer2;                                                       \
		step((void *)&___pointer2, sizeof(___pointer2), &(source)->a);                                         \
		___bpf_path1(step, last, to, ___pointer2, rest);                                                       \
	})
#define ___bpf_path3(step, last, to, source, a, rest...)                                                               \
	({                                                                                                             \
		___bpf_writable_typeof((source)->a) ___pointer3;                                                       \
		step((void *)&___pointer3, sizeof(___pointer3), &(source)->a);                                         \
		___bpf_path2(step, last, to, ___pointer3, rest);                                                       \
	})
#define ___bpf_path4(step, last, to, source, a, rest...)                                                               \
	({                                                                                                             \
		___bpf_writable_typeof((source)->a) ___pointer4;                                                       \
		step((void *)&___pointer4, sizeof(___pointer4), &(source)->a);                                         \
		___bpf_path3(step, last, to, ___pointer4, rest);                                                       \
	})
#define ___bpf_path5(step, last, to, source, a, rest...)                                                               \
	({                                                                                                             \
		___bpf_writable_typeof((source)->a) ___pointer5;                                                       \
		step((void *)&___pointer5, sizeof(___pointer5), &(source)->a);                                         \
		___bpf_path4(step, last, to, ___pointer5, rest);                                                       \
	})
#define ___bpf_path6(step, last, to, source, a, rest...)                                                               \
	({                                                                                                             \
		___bpf_writable_typeof((source)->a) ___pointer6;                                                       \
		step((void *)&___pointer6, sizeof(___pointer6), &(source)->a);                                         \
		___bpf_path5(step, last, to, ___pointer6, rest);                                                       \
	})
#define ___bpf_path7(step, last, to, source, a, rest...)                                                               \
	({                                                                                                             \
		___bpf_writable_typeof((source)->a) ___pointer7;                                                       \
		step((void *)&___pointer7, sizeof(___pointer7), &(source)->a);                                         \
		___bpf_path6(step, last, to, ___pointer7, rest);                                                       \
	})
#define ___bpf_path8(step, last, to, source, a, rest...)                                                               \
	({                                                                                                             \
		___bpf_writable_typeof((source)->a) ___pointer8;                                                       \
		step((void *)&___pointer8, sizeof(___pointer8), &(source)->a);                                         \
		___bpf_path7(step, last, to, ___pointer8, rest);                                                       \
	})
#define ___bpf_path9(step, last, to, source, a, rest...)                                                               \
	({                                                                                                             \
		___bpf_writable_typeof((source)->a) ___pointer9;                                                       \
		step((void *)&___pointer9, sizeof(___pointer9), &(source)->a);                                         \
		___bpf_path8(step, last, to, ___pointer9, rest);                                                       \
	})

#define ___bpf_path_nth(_1, _2, _3, _4, _5, _6, _7, _8, _9, N, ...) N
#define ___bpf_path_length(path...) ___bpf_path_nth(path, 9, 8, 7, 6, 5, 4, 3, 2, 1)
#define ___bpf_path(step, last, to, source, path...)                                                                   \
	___bpf_core_paste(___bpf_path, ___bpf_path_length(path))(step, last, to, source, path)

#define ___bpf_arrow1(a) a
#define ___bpf_arrow2(a, rest...) a->___bpf_arrow1(rest)
#define ___bpf_arrow3(a, rest...) a->___bpf_arrow2(rest)
#define ___bpf_arrow4(a, rest...) a->___bpf_arrow3(rest)
#define ___bpf_arrow5(a, rest...) a->___bpf_arrow4(rest)
#define ___bpf_arrow6(a, rest...) a->___bpf_arrow5(rest)
#define ___bpf_arrow7(a, rest...) a->___bpf_arrow6(rest)
#define ___bpf_arrow8(a, rest...) a->___bpf_arrow7(rest)
#define ___bpf_arrow9(a, rest...) a->___bpf_arrow8(rest)
#define ___bpf_arrow(path...) ___bpf_core_paste(___bpf_arrow, ___bpf_path_length(path))(path)

#define ___bpf_value(into, source, path...)                                                                            \
	({                                                                                                             \
		___bpf_writable_typeof((source)->___bpf_arrow(path)) ___value;                                         \
		into(&___value, source, path);                                                                         \
		___value;                                                                                              \
	})

/* INTO returns what the last read returns: 0, a string's length with its NUL, or a negative errno. */
#define BPF_CORE_READ_INTO(to, source, path...) ___bpf_path(bpf_core_read, bpf_core_read, to, source, path)
#define BPF_CORE_READ_STR_INTO(to, source, path...) ___bpf_path(bpf_core_read, bpf_core_read_str, to, source, path)
#define BPF_CORE_READ_USER_INTO(to, source, path...)                                                                   \
	___bpf_path(bpf_core_read_user, bpf_core_read_user, to, source, path)
#define BPF_CORE_READ_USER_STR_INTO(to, source, path...)                                                               \
	___bpf_path(bpf_core_read_user, bpf_core_read_user_str, to, source, path)
#define BPF_CORE_READ(source, path...) ___bpf_value(BPF_CORE_READ_INTO, source, path)
#define BPF_CORE_READ_USER(source, path...) ___bpf_value(BPF_CORE_READ_USER_INTO, source, path)

#define BPF_PROBE_READ_INTO(to, source, path...) ___bpf_path(___bpf_read_kernel, ___bpf_read_kernel, to, source, path)
#define BPF_PROBE_READ_STR_INTO(to, source, path...)                                                                   \
	___bpf_path(___bpf_read_kernel, ___bpf_read_kernel_str, to, source, path)
#define BPF_PROBE_READ_USER_INTO(to, source, path...) ___bpf_path(___bpf_read_user, ___bpf_read_user, to, source, path)
#define BPF_PROBE_READ_USER_STR_INTO(to, source, path...)                                                              \
	___bpf_path(___bpf_read_user, ___bpf_read_user_str, to, source, path)
#define BPF_PROBE_READ(source, path...) ___bpf_value(BPF_PROBE_READ_INTO, source, path)
#define BPF_PROBE_READ_USER(source, path...) ___bpf_value(BPF_PROBE_READ_USER_INTO, source, path)

/* --- bit-fields: the aligned load unit, shifted up to drop the bits above the field, then down --------------------- */

#define ___bpf_bits(source, field, kind) __builtin_preserve_field_info((source)->field, BPF_FIELD_##kind)
#define ___bpf_bits_place(source, field) ((const char *)(source) + ___bpf_bits(source, field, BYTE_OFFSET))
#define ___bpf_bits_extract(source, field, unit)                                                                       \
	({                                                                                                             \
		unsigned long long ___bits = (unit) << ___bpf_bits(source, field, LSHIFT_U64);                         \
		___bpf_bits(source, field, SIGNED)                                                                     \
			? (unsigned long long)((long long)___bits >> ___bpf_bits(source, field, RSHIFT_U64))           \
			: ___bits >> ___bpf_bits(source, field, RSHIFT_U64);                                           \
	})

/* Through a helper; the unit lands at the end of the variable where the most significant byte comes first. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ___bpf_bits_low(variable, size) (&(variable))
#else
#define ___bpf_bits_low(variable, size) ((char *)&(variable) + sizeof(variable) - (size))
#endif
#define BPF_CORE_READ_BITFIELD_PROBED(source, field)                                                                   \
	({                                                                                                             \
		unsigned long long ___unit = 0;                                                                        \
		__u32 ___size = ___bpf_bits(source, field, BYTE_SIZE);                                                 \
		bpf_probe_read_kernel(___bpf_bits_low(___unit, ___size), ___size, ___bpf_bits_place(source, field));   \
		___bpf_bits_extract(source, field, ___unit);                                                           \
	})

/* Directly: for memory that the verifier lets a program load from. barrier_var keeps the address in one register. */
#define BPF_CORE_READ_BITFIELD(source, field)                                                                          \
	({                                                                                                             \
		const char *___place = ___bpf_bits_place(source, field);                                               \
		unsigned long long ___unit = 0;                                                                        \
		__asm__ volatile("" : "+r"(___place));                                                                 \
		switch (___bpf_bits(source, field, BYTE_SIZE)) {                                                       \
		case 1: ___unit = *(const unsigned char *)___place; break;                                             \
		case 2: ___unit = *(const unsigned short *)___place; break;                                            \
		case 4: ___unit = *(const unsigned int *)___place; break;                                              \
		case 8: ___unit = *(const unsigned long long *)___place; break;                                        \
		}                                                                                                      \
		___bpf_bits_extract(source, field, ___unit);                                                           \
	})

#define BPF_CORE_WRITE_BITFIELD(source, field, value)                                                                  \
	({                                                                                                             \
		char *___place = (char *)___bpf_bits_place(source, field);                                             \
		unsigned int ___left = ___bpf_bits(source, field, LSHIFT_U64);                                         \
		unsigned int ___right = ___bpf_bits(source, field, RSHIFT_U64);                                        \
		unsigned int ___low = ___right - ___left;                                                              \
		unsigned long long ___mask = (~0ULL << ___right) >> ___left;                                           \
		unsigned long long ___new = (unsigned long long)(value) << ___low & ___mask;                           \
		__asm__ volatile("" : "+r"(___place));                                                                 \
		switch (___bpf_bits(source, field, BYTE_SIZE)) {                                                       \
		case 1: *(unsigned char *)___place = (*(unsigned char *)___place & ~___mask) | ___new; break;          \
		case 2: *(unsigned short *)___place = (*(unsigned short *)___place & ~___mask) | ___new; break;        \
		case 4: *(unsigned int *)___place = (*(unsigned int *)___place & ~___mask) | ___new; break;            \
		case 8: *(unsigned long long *)___place = (*(unsigned long long *)___place & ~___mask) | ___new; break; \
		}                                                                                                      \
	})

/* A pointer of another type that the verifier trusts for reading only (kfunc bpf_rdonly_cast, since 6.2). */
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __attribute__((section(".ksyms"), weak));
#define bpf_core_cast(pointer, type) ((typeof(type) *)bpf_rdonly_cast((pointer), bpf_core_type_id_kernel(type)))

#endif
