/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Arguments of USDT probes: BPF_USDT, and bpf_usdt_arg and its kin under it.
 *
 *	SEC("usdt/libc.so.6:libc:setjmp")
 *	int BPF_USDT(on_setjmp, void *env, int value)
 *	{
 *		...
 *	}
 *
 * Include vmlinux.h or <bpf/bpf_uapi.h> before this. Who attaches the program writes into two maps where the arguments
 * are. aiobpf and libbpf (1.7 and newer) agree on them; for older ones of libbpf define BPF_USDT_WITHOUT_SIB, which
 * leaves out arguments at indexed addresses ("4@8(%rax,%rbx,4)").
 */
#ifndef __AIOBPF_USDT_BPF_H__
#define __AIOBPF_USDT_BPF_H__

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* How many different places, by their arguments, the probes of an object may have all in all. */
#ifndef BPF_USDT_MAX_SPEC_CNT
#define BPF_USDT_MAX_SPEC_CNT 256
#endif
/* How many places, by their addresses; 1 will do where no kernel is older than 5.15, as addresses are not used then. */
#ifndef BPF_USDT_MAX_IP_CNT
#define BPF_USDT_MAX_IP_CNT (4 * BPF_USDT_MAX_SPEC_CNT)
#endif
#define BPF_USDT_MAX_ARG_CNT 12

/* errno.h, without its need for the headers of a machine */
#define __BPF_USDT_ENOENT 2
#define __BPF_USDT_ESRCH 3
#define __BPF_USDT_EINVAL 22

enum __bpf_usdt_arg_type {
	BPF_USDT_ARG_CONST,
	BPF_USDT_ARG_REG,
	BPF_USDT_ARG_REG_DEREF,
	BPF_USDT_ARG_SIB,
};

/* One argument. The name of a member is where the loader looks for it, and its place what other loaders write to. */
struct __bpf_usdt_arg_spec {
	__u64 val_off; /* the number itself, or what is added to the address */
#ifdef BPF_USDT_WITHOUT_SIB
	__u32 arg_type;
#elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	__u8 arg_type;
	__u8 __padding_1;
	__u16 idx_reg_off : 12;
	__u16 scale_bitshift : 4;
	__u16 __padding_2;
#else
	__u16 __padding_1;
	__u16 idx_reg_off : 12;
	__u16 scale_bitshift : 4;
	__u8 arg_type;
	__u8 __padding_2;
#endif
	__s16 reg_off; /* of the register in struct pt_regs */
	_Bool arg_signed;
	__s8 arg_bitshift; /* 64 less the bits of the argument */
};

struct __bpf_usdt_spec {
	struct __bpf_usdt_arg_spec args[BPF_USDT_MAX_ARG_CNT];
	__u64 usdt_cookie;
	__s16 arg_cnt;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BPF_USDT_MAX_SPEC_CNT);
	__type(key, int);
	__type(value, struct __bpf_usdt_spec);
} __bpf_usdt_specs SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_USDT_MAX_IP_CNT);
	__type(key, long);
	__type(value, __u32);
} __bpf_usdt_ip_to_spec_id SEC(".maps") __weak;

extern const _Bool LINUX_HAS_BPF_COOKIE __kconfig;

/* What the loader wrote about this place; NULL if nothing. */
static __always_inline struct __bpf_usdt_spec *__bpf_usdt_spec_of(struct pt_regs *ctx)
{
	int id;

	if (LINUX_HAS_BPF_COOKIE) {
		id = bpf_get_attach_cookie(ctx);
	} else {
		long ip = PT_REGS_IP(ctx);
		__u32 *found = bpf_map_lookup_elem(&__bpf_usdt_ip_to_spec_id, &ip);

		if (!found)
			return (void *)0;
		id = *found;
	}
	return bpf_map_lookup_elem(&__bpf_usdt_specs, &id);
}

/* The probe's arguments, how many; -ESRCH if the loader has said nothing of it. */
__weak __hidden int bpf_usdt_arg_cnt(struct pt_regs *ctx)
{
	struct __bpf_usdt_spec *spec = __bpf_usdt_spec_of(ctx);

	return spec ? spec->arg_cnt : -__BPF_USDT_ESRCH;
}

/* The size of argument *number* in bytes; -ENOENT if there are not as many. */
__weak __hidden int bpf_usdt_arg_size(struct pt_regs *ctx, __u64 number)
{
	struct __bpf_usdt_spec *spec = __bpf_usdt_spec_of(ctx);

	if (!spec)
		return -__BPF_USDT_ESRCH;
	if (number >= BPF_USDT_MAX_ARG_CNT || number >= spec->arg_cnt)
		return -__BPF_USDT_ENOENT;
	return (__u32)(64 - spec->args[number].arg_bitshift) / 8;
}

static __always_inline int __bpf_usdt_register(struct pt_regs *ctx, int offset, unsigned long *value)
{
	return bpf_probe_read_kernel(value, sizeof(*value), (void *)ctx + offset);
}

/*
 * The value of argument *number*, counted from 0, into *res* (0 where there is none). Returns 0; -ESRCH if the loader
 * has said nothing of the probe, -ENOENT if it has not as many arguments, -EINVAL if one is not to be read so, -EFAULT
 * if its memory cannot be read.
 */
__weak __hidden int bpf_usdt_arg(struct pt_regs *ctx, __u64 number, long *res)
{
	struct __bpf_usdt_spec *spec = __bpf_usdt_spec_of(ctx);
	struct __bpf_usdt_arg_spec *arg;
	unsigned long value = 0, address, index = 0;
	__u32 size;
	int error;

	*res = 0;
	if (!spec)
		return -__BPF_USDT_ESRCH;
	if (number >= BPF_USDT_MAX_ARG_CNT || number >= spec->arg_cnt)
		return -__BPF_USDT_ENOENT;
	arg = &spec->args[number];

	switch (arg->arg_type) {
	case BPF_USDT_ARG_CONST:
		value = arg->val_off;
		break;
	case BPF_USDT_ARG_REG:
		error = __bpf_usdt_register(ctx, arg->reg_off, &value);
		if (error)
			return error;
		break;
#ifndef BPF_USDT_WITHOUT_SIB
	case BPF_USDT_ARG_SIB:
		error = __bpf_usdt_register(ctx, arg->idx_reg_off, &index);
		if (error)
			return error;
		index <<= arg->scale_bitshift;
		/* fallthrough */
#endif
	case BPF_USDT_ARG_REG_DEREF:
		error = __bpf_usdt_register(ctx, arg->reg_off, &address);
		if (error)
			return error;
		/* Not more than the argument has: the next page may not be there. */
		size = (__u32)(64 - arg->arg_bitshift) / 8;
		barrier_var(size); /* the register that is compared is the one that the helper gets */
		if (size > sizeof(value))
			return -__BPF_USDT_EINVAL;
		error = bpf_probe_read_user(&value, size, (void *)(address + index + arg->val_off));
		if (error)
			return error;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		value >>= arg->arg_bitshift;
#endif
		break;
	default:
		return -__BPF_USDT_EINVAL;
	}

	/* What is above the argument's own bits is not its: drop it, or spread its sign there. */
	value <<= arg->arg_bitshift;
	*res = arg->arg_signed ? (long)value >> arg->arg_bitshift : (long)(value >> arg->arg_bitshift);
	return 0;
}

/* What the one who attached the program gave as its cookie; 0 if nothing. */
__weak __hidden long bpf_usdt_cookie(struct pt_regs *ctx)
{
	struct __bpf_usdt_spec *spec = __bpf_usdt_spec_of(ctx);

	return spec ? spec->usdt_cookie : 0;
}

static __always_inline void *__bpf_usdt_value(struct pt_regs *ctx, __u64 number)
{
	long value;

	bpf_usdt_arg(ctx, number, &value);
	return (void *)value;
}

#define ___bpf_usdt0 ctx
#define ___bpf_usdt1 ___bpf_usdt0, __bpf_usdt_value(ctx, 0)
#define ___bpf_usdt2 ___bpf_usdt1, __bpf_usdt_value(ctx, 1)
#define ___bpf_usdt3 ___bpf_usdt2, __bpf_usdt_value(ctx, 2)
#define ___bpf_usdt4 ___bpf_usdt3, __bpf_usdt_value(ctx, 3)
#define ___bpf_usdt5 ___bpf_usdt4, __bpf_usdt_value(ctx, 4)
#define ___bpf_usdt6 ___bpf_usdt5, __bpf_usdt_value(ctx, 5)
#define ___bpf_usdt7 ___bpf_usdt6, __bpf_usdt_value(ctx, 6)
#define ___bpf_usdt8 ___bpf_usdt7, __bpf_usdt_value(ctx, 7)
#define ___bpf_usdt9 ___bpf_usdt8, __bpf_usdt_value(ctx, 8)
#define ___bpf_usdt10 ___bpf_usdt9, __bpf_usdt_value(ctx, 9)
#define ___bpf_usdt11 ___bpf_usdt10, __bpf_usdt_value(ctx, 10)
#define ___bpf_usdt12 ___bpf_usdt11, __bpf_usdt_value(ctx, 11)
/* A program with a probe's arguments as those of a function. Its context is in scope as `ctx`. */
#define BPF_USDT(name, args...)                                                                                        \
	___bpf_typed(name, struct pt_regs *ctx, ___bpf_apply(___bpf_usdt, ___bpf_narg(args)), ##args)

#endif
