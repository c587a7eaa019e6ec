/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a BPF program's source starts with: integer types, sections, map definitions, kernel helpers.
 *
 * Include "vmlinux.h", <linux/bpf.h> or <bpf/bpf_uapi.h> before this for the kernel's own types and constants; the
 * integer types come from here if they come from nowhere else.
 */
#ifndef __AIOBPF_BPF_HELPERS_H__
#define __AIOBPF_BPF_HELPERS_H__

/* C11 lets a typedef repeat, so these agree with vmlinux.h and <linux/types.h> in any order. */
typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
#if !defined(_LINUX_TYPES_H) && !defined(_UAPI_LINUX_TYPES_H)
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
#endif

#include <bpf/bpf_helper_defs.h>

/* --- where things go ----------------------------------------------------------------------------------------------- */

/* `used`: nothing in the source calls a program or mentions a license, but the object needs them. */
#define SEC(name)                                                                                                      \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wignored-attributes\"")                      \
		__attribute__((section(name), used)) _Pragma("GCC diagnostic pop")

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
/* A global that the loader treats as private to the object: no variable of the spec, verified with its callers. */
#define __hidden __attribute__((visibility("hidden")))

#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))

/*
 * In an arena: "struct node __arena *next" is a pointer into it, "int __arena counter" a variable that lies there.
 * A compiler without address spaces for BPF (clang before 19) would make ordinary pointers of it, which the verifier
 * refuses; so there it is left undefined.
 */
#ifdef __BPF_FEATURE_ADDR_SPACE_CAST
#define __arena __attribute__((address_space(1)))
#endif

/* --- map definitions: struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __u32); ... } name SEC(".maps"); -------- */

#define __uint(name, value) int (*name)[value]
#define __type(name, type) typeof(type) *name
#define __array(name, type) typeof(type) *name[]
#define __AIOBPF_JOIN_(a, b) a##b
#define __AIOBPF_JOIN(a, b) __AIOBPF_JOIN_(a, b)
#define __ulong(name, value)                                                                                           \
	enum {                                                                                                         \
		__AIOBPF_JOIN(__unique_value, __COUNTER__) = value                                                     \
	} name

enum libbpf_pin_type {
	LIBBPF_PIN_NONE,
	LIBBPF_PIN_BY_NAME, /* pinned under the load's pin path, by the map's name */
};

enum libbpf_tristate {
	TRI_NO = 0,
	TRI_YES = 1,
	TRI_MODULE = 2,
};

/* --- BTF tags ------------------------------------------------------------------------------------------------------ */

#if __has_attribute(btf_type_tag)
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __uptr __attribute__((btf_type_tag("uptr")))
#else
#define __kptr
#define __kptr_untrusted
#define __percpu_kptr
#define __uptr
#endif

#if __has_attribute(btf_decl_tag)
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#define __arg_nullable __attribute__((btf_decl_tag("arg:nullable")))
#define __arg_trusted __attribute__((btf_decl_tag("arg:trusted")))
#define __arg_untrusted __attribute__((btf_decl_tag("arg:untrusted")))
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))
#else
#define __arg_ctx
#define __arg_nonnull
#define __arg_nullable
#define __arg_trusted
#define __arg_untrusted
#define __arg_arena
#endif

#if defined(__clang__) && (__clang_major__ >= 19)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif

/* --- small C ------------------------------------------------------------------------------------------------------- */

#ifndef NULL
#define NULL ((void *)0)
#endif

#undef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#undef container_of
#define container_of(pointer, type, member)                                                                            \
	({                                                                                                             \
		void *__member = (void *)(pointer);                                                                    \
		(type *)((char *)__member - offsetof(type, member));                                                   \
	})

#ifndef KERNEL_VERSION
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#endif

/* The compiler may not move memory accesses across barrier(), nor assume anything of a variable after barrier_var(). */
#ifndef barrier
#define barrier() __asm__ volatile("" ::: "memory")
#endif
#ifndef barrier_var
#define barrier_var(variable) __asm__ volatile("" : "+r"(variable))
#endif

/* Fails the build if the call survives optimisation. */
#ifndef __bpf_unreachable
#define __bpf_unreachable() __builtin_trap()
#endif

/* --- calls --------------------------------------------------------------------------------------------------------- */

/*
 * A tail call whose index is a constant in the instruction, so that the JIT can make it a direct jump (since 5.5).
 * The compiler must not merge two of them into one with a variable index: hence the asm.
 */
#if defined(__bpf__) && __has_builtin(__builtin_constant_p)
static __always_inline void bpf_tail_call_static(void *ctx, const void *map, const __u32 slot)
{
	if (!__builtin_constant_p(slot))
		__bpf_unreachable();
	__asm__ volatile("r1 = %[ctx]\n\t"
			 "r2 = %[map]\n\t"
			 "r3 = %[slot]\n\t"
			 "call 12"
			 :
			 : [ctx] "r"(ctx), [map] "r"(map), [slot] "i"(slot)
			 : "r0", "r1", "r2", "r3", "r4", "r5");
}
#endif

/* The number of variadic arguments, 0 to 12. */
#define ___bpf_nth(_, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, N, ...) N
#define ___bpf_narg(...) ___bpf_nth(_, ##__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define ___bpf_concat(a, b) a##b
#define ___bpf_apply(name, count) ___bpf_concat(name, count)

/* Fills values[0..count) one assignment each: an initialiser would become a .rodata copy on some compilers. */
#define ___bpf_fill0(values, i)
#define ___bpf_fill1(values, i, x) (values)[i] = (unsigned long long)(x)
#define ___bpf_fill2(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill1(values, (i) + 1, rest)
#define ___bpf_fill3(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill2(values, (i) + 1, rest)
#define ___bpf_fill4(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill3(values, (i) + 1, rest)
#define ___bpf_fill5(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill4(values, (i) + 1, rest)
#define ___bpf_fill6(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill5(values, (i) + 1, rest)
#define ___bpf_fill7(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill6(values, (i) + 1, rest)
#define ___bpf_fill8(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill7(values, (i) + 1, rest)
#define ___bpf_fill9(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill8(values, (i) + 1, rest)
#define ___bpf_fill10(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill9(values, (i) + 1, rest)
#define ___bpf_fill11(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill10(values, (i) + 1, rest)
#define ___bpf_fill12(values, i, x, rest...) ___bpf_fill1(values, i, x); ___bpf_fill11(values, (i) + 1, rest)
#define ___bpf_fill(values, args...) ___bpf_apply(___bpf_fill, ___bpf_narg(args))(values, 0, ##args)

/* An array of at least one, as C has none of length 0 that the verifier likes. */
#define ___bpf_values(name, args...)                                                                                   \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                          \
		unsigned long long name[___bpf_narg(args) ?: 1];                                                       \
	___bpf_fill(name, args);                                                                                       \
	_Pragma("GCC diagnostic pop")

#define BPF_SEQ_PRINTF(seq, format, args...)                                                                           \
	({                                                                                                             \
		static const char ___format[] = format;                                                                \
		___bpf_values(___values, args);                                                                        \
		bpf_seq_printf(seq, ___format, sizeof(___format), ___values, ___bpf_narg(args) * 8);                   \
	})

#define BPF_SNPRINTF(out, size, format, args...)                                                                       \
	({                                                                                                             \
		static const char ___format[] = format;                                                                \
		___bpf_values(___values, args);                                                                        \
		bpf_snprintf(out, size, ___format, ___values, ___bpf_narg(args) * 8);                                  \
	})

#ifdef BPF_NO_GLOBAL_DATA
#define BPF_PRINTK_FMT_MOD
#else
#define BPF_PRINTK_FMT_MOD static const
#endif

/* Up to three arguments go to bpf_trace_printk (any kernel), more to bpf_trace_vprintk (since 5.16). */
#define ___bpf_printk_few(format, args...)                                                                             \
	({                                                                                                             \
		BPF_PRINTK_FMT_MOD char ___format[] = format;                                                          \
		bpf_trace_printk(___format, sizeof(___format), ##args);                                                \
	})
#define ___bpf_printk_many(format, args...)                                                                            \
	({                                                                                                             \
		static const char ___format[] = format;                                                                \
		___bpf_values(___values, args);                                                                        \
		bpf_trace_vprintk(___format, sizeof(___format), ___values, sizeof(___values));                         \
	})
#define ___bpf_printk_by(...)                                                                                          \
	___bpf_nth(_, ##__VA_ARGS__, ___bpf_printk_many, ___bpf_printk_many, ___bpf_printk_many, ___bpf_printk_many,   \
		   ___bpf_printk_many, ___bpf_printk_many, ___bpf_printk_many, ___bpf_printk_many, ___bpf_printk_many, \
		   ___bpf_printk_few, ___bpf_printk_few, ___bpf_printk_few, ___bpf_printk_few)
#define bpf_printk(format, args...) ___bpf_printk_by(args)(format, ##args)

/* To the program's own streams (BPF_STDOUT 1, BPF_STDERR 2), under each name and prototype that the kfunc has had:
   6.17; 6.18; 7.0, where the verifier passes the program. Nothing where there is none. */
extern int bpf_stream_vprintk___aux(int stream, const char *fmt__str, const void *args, __u32 len__sz,
				    void *aux__prog) __weak __ksym;
extern int bpf_stream_vprintk_impl(int stream, const char *fmt__str, const void *args, __u32 len__sz,
				   void *aux__prog) __weak __ksym;
extern int bpf_stream_vprintk___implicit(int stream, const char *fmt__str, const void *args, __u32 len__sz) __weak __ksym;

#define bpf_stream_printk(stream, format, args...)                                                                     \
	({                                                                                                             \
		static const char ___format[] = format;                                                                \
		___bpf_values(___values, args);                                                                        \
		__u32 ___size = ___bpf_narg(args) * 8;                                                                 \
		int ___printed = -95; /* EOPNOTSUPP */                                                                 \
		if (bpf_ksym_exists(bpf_stream_vprintk___implicit))                                                    \
			___printed = bpf_stream_vprintk___implicit(stream, ___format, ___values, ___size);             \
		else if (bpf_ksym_exists(bpf_stream_vprintk_impl))                                                     \
			___printed = bpf_stream_vprintk_impl(stream, ___format, ___values, ___size, (void *)0);        \
		else if (bpf_ksym_exists(bpf_stream_vprintk___aux))                                                    \
			___printed = bpf_stream_vprintk___aux(stream, ___format, ___values, ___size, (void *)0);       \
		___printed;                                                                                            \
	})

/* --- kfuncs that loops are made of (since 6.4) --------------------------------------------------------------------- */

struct bpf_iter_num;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

/* False where the running kernel lacks a __weak __ksym. */
#define bpf_ksym_exists(symbol) ({ _Static_assert(!__builtin_constant_p(!!symbol), #symbol " must be __weak"); !!symbol; })

/* for each item of an open-coded iterator: bpf_for_each(task, item, arguments of bpf_iter_task_new...) { } */
#ifndef bpf_for_each
#define bpf_for_each(kind, item, args...)                                                                              \
	for (struct bpf_iter_##kind ___it __attribute__((aligned(8), cleanup(bpf_iter_##kind##_destroy))),             \
	     *___started __attribute__((unused)) = (bpf_iter_##kind##_new(&___it, ##args), (void *)0);                 \
	     (((item) = bpf_iter_##kind##_next(&___it)));)
#endif

/* for i in [start, end), bounded by the kernel and not by the verifier's patience */
#ifndef bpf_for
#define bpf_for(i, start, end)                                                                                         \
	for (struct bpf_iter_num ___it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),                     \
	     *___next = (bpf_iter_num_new(&___it, (start), (end)), (void *)0);                                         \
	     ({                                                                                                        \
		     ___next = (void *)bpf_iter_num_next(&___it);                                                      \
		     if (___next)                                                                                      \
			     (i) = *(int *)___next;                                                                    \
		     ___next && (i) >= (start) && (i) < (end);                                                         \
	     });)
#endif

#ifndef bpf_repeat
#define bpf_repeat(count)                                                                                              \
	for (struct bpf_iter_num ___it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),                     \
	     *___started __attribute__((unused)) = (bpf_iter_num_new(&___it, 0, (count)), (void *)0);                  \
	     bpf_iter_num_next(&___it);)
#endif

#endif
