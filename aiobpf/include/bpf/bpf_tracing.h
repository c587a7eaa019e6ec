/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Typed arguments for tracing programs: BPF_PROG, BPF_KPROBE, BPF_KRETPROBE, BPF_KSYSCALL, and PT_REGS_* under them.
 *
 * Registers depend on the machine that the program will run on: compile with -D__TARGET_ARCH_x86 or
 * -D__TARGET_ARCH_arm64. Include vmlinux.h, <bpf/bpf_uapi.h> or <asm/ptrace.h> first for struct pt_regs.
 */
#ifndef __AIOBPF_BPF_TRACING_H__
#define __AIOBPF_BPF_TRACING_H__

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#if defined(__TARGET_ARCH_x86)
#define bpf_target_x86
#define bpf_target_defined
#elif defined(__TARGET_ARCH_arm64)
#define bpf_target_arm64
#define bpf_target_defined
#elif defined(__x86_64__)
#define bpf_target_x86
#define bpf_target_defined
#elif defined(__aarch64__)
#define bpf_target_arm64
#define bpf_target_defined
#endif

struct pt_regs;

/*
 * Per machine: the cast to the structure that has the registers, the registers of a function's arguments, of a system
 * call's, and the others. The System V ABI of x86-64 passes six arguments in registers, AAPCS64 eight.
 */
#if defined(bpf_target_x86)

#define __PT_REGS_CAST(x) ((const struct pt_regs *)(x))
#if defined(__KERNEL__) || defined(__VMLINUX_H__) || defined(__AIOBPF_BPF_UAPI_H__)
#define __PT_PARM1_REG di
#define __PT_PARM2_REG si
#define __PT_PARM3_REG dx
#define __PT_PARM4_REG cx
#define __PT_FP_REG bp
#define __PT_RC_REG ax
#define __PT_SP_REG sp
#define __PT_IP_REG ip
#else /* the UAPI's names */
#define __PT_PARM1_REG rdi
#define __PT_PARM2_REG rsi
#define __PT_PARM3_REG rdx
#define __PT_PARM4_REG rcx
#define __PT_FP_REG rbp
#define __PT_RC_REG rax
#define __PT_SP_REG rsp
#define __PT_IP_REG rip
#endif
#define __PT_PARM5_REG r8
#define __PT_PARM6_REG r9
#define __PT_SYSCALL_CAST(x) __PT_REGS_CAST(x)
#define __PT_PARM1_SYSCALL_REG __PT_PARM1_REG
/* `syscall` takes rcx for the return address, so argument 4 is in r10. */
#define __PT_PARM4_SYSCALL_REG r10

#elif defined(bpf_target_arm64)

struct pt_regs___arm64 {
	unsigned long orig_x0;
} __attribute__((preserve_access_index));

#define __PT_REGS_CAST(x) ((const struct user_pt_regs *)(x))
#define __PT_PARM1_REG regs[0]
#define __PT_PARM2_REG regs[1]
#define __PT_PARM3_REG regs[2]
#define __PT_PARM4_REG regs[3]
#define __PT_PARM5_REG regs[4]
#define __PT_PARM6_REG regs[5]
#define __PT_PARM7_REG regs[6]
#define __PT_PARM8_REG regs[7]
#define __PT_RET_REG regs[30]
#define __PT_FP_REG regs[29]
#define __PT_RC_REG regs[0]
#define __PT_SP_REG sp
#define __PT_IP_REG pc
/* x0 is overwritten by the return value, orig_x0 keeps argument 1. */
#define __PT_SYSCALL_CAST(x) ((const struct pt_regs___arm64 *)(x))
#define __PT_PARM1_SYSCALL_REG orig_x0
#define __PT_PARM4_SYSCALL_REG __PT_PARM4_REG

#endif

#ifdef bpf_target_defined

#define PT_REGS_PARM1(x) (__PT_REGS_CAST(x)->__PT_PARM1_REG)
#define PT_REGS_PARM1_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM1_REG)
#define PT_REGS_PARM2(x) (__PT_REGS_CAST(x)->__PT_PARM2_REG)
#define PT_REGS_PARM2_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM2_REG)
#define PT_REGS_PARM3(x) (__PT_REGS_CAST(x)->__PT_PARM3_REG)
#define PT_REGS_PARM3_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM3_REG)
#define PT_REGS_PARM4(x) (__PT_REGS_CAST(x)->__PT_PARM4_REG)
#define PT_REGS_PARM4_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM4_REG)
#define PT_REGS_PARM5(x) (__PT_REGS_CAST(x)->__PT_PARM5_REG)
#define PT_REGS_PARM5_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM5_REG)
#define PT_REGS_PARM6(x) (__PT_REGS_CAST(x)->__PT_PARM6_REG)
#define PT_REGS_PARM6_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM6_REG)
#ifdef __PT_PARM7_REG
#define PT_REGS_PARM7(x) (__PT_REGS_CAST(x)->__PT_PARM7_REG)
#define PT_REGS_PARM7_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM7_REG)
#endif
#ifdef __PT_PARM8_REG
#define PT_REGS_PARM8(x) (__PT_REGS_CAST(x)->__PT_PARM8_REG)
#define PT_REGS_PARM8_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM8_REG)
#endif

#define PT_REGS_FP(x) (__PT_REGS_CAST(x)->__PT_FP_REG)
#define PT_REGS_RC(x) (__PT_REGS_CAST(x)->__PT_RC_REG)
#define PT_REGS_SP(x) (__PT_REGS_CAST(x)->__PT_SP_REG)
#define PT_REGS_IP(x) (__PT_REGS_CAST(x)->__PT_IP_REG)
#define PT_REGS_FP_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_FP_REG)
#define PT_REGS_RC_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_RC_REG)
#define PT_REGS_SP_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_SP_REG)
#define PT_REGS_IP_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_IP_REG)

#ifdef __PT_RET_REG
#define PT_REGS_RET(x) (__PT_REGS_CAST(x)->__PT_RET_REG)
#define PT_REGS_RET_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_RET_REG)
#define BPF_KPROBE_READ_RET_IP(ip, ctx) ({ (ip) = PT_REGS_RET(ctx); })
#define BPF_KRETPROBE_READ_RET_IP BPF_KPROBE_READ_RET_IP
#else /* on the stack: at its top on entry, above the frame pointer once the frame is there */
#define PT_REGS_RET(x) (*(unsigned long *)PT_REGS_SP(x))
#define BPF_KPROBE_READ_RET_IP(ip, ctx) bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)PT_REGS_SP(ctx))
#define BPF_KRETPROBE_READ_RET_IP(ip, ctx)                                                                             \
	bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)(PT_REGS_FP(ctx) + sizeof(ip)))
#endif

/* --- system calls: registers of the caller ------------------------------------------------------------------------- */

#ifdef bpf_target_arm64 /* struct user_pt_regs, which the UAPI fixes, ends before orig_x0 */
#define PT_REGS_PARM1_SYSCALL(x) PT_REGS_PARM1_CORE_SYSCALL(x)
#else
#define PT_REGS_PARM1_SYSCALL(x) (__PT_SYSCALL_CAST(x)->__PT_PARM1_SYSCALL_REG)
#endif
#define PT_REGS_PARM1_CORE_SYSCALL(x) BPF_CORE_READ(__PT_SYSCALL_CAST(x), __PT_PARM1_SYSCALL_REG)
#define PT_REGS_PARM2_SYSCALL(x) (__PT_REGS_CAST(x)->__PT_PARM2_REG)
#define PT_REGS_PARM2_CORE_SYSCALL(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM2_REG)
#define PT_REGS_PARM3_SYSCALL(x) (__PT_REGS_CAST(x)->__PT_PARM3_REG)
#define PT_REGS_PARM3_CORE_SYSCALL(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM3_REG)
#define PT_REGS_PARM4_SYSCALL(x) (__PT_REGS_CAST(x)->__PT_PARM4_SYSCALL_REG)
#define PT_REGS_PARM4_CORE_SYSCALL(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM4_SYSCALL_REG)
#define PT_REGS_PARM5_SYSCALL(x) (__PT_REGS_CAST(x)->__PT_PARM5_REG)
#define PT_REGS_PARM5_CORE_SYSCALL(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM5_REG)
#define PT_REGS_PARM6_SYSCALL(x) (__PT_REGS_CAST(x)->__PT_PARM6_REG)
#define PT_REGS_PARM6_CORE_SYSCALL(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_PARM6_REG)

/* With CONFIG_ARCH_HAS_SYSCALL_WRAPPER (x86-64 since 4.17, arm64 since 4.19) sys_x's one argument is the registers. */
#define PT_REGS_SYSCALL_REGS(ctx) ((struct pt_regs *)PT_REGS_PARM1(ctx))

#endif /* bpf_target_defined */

/* --- BPF_PROG: the arguments of tp_btf, fentry, fexit, fmod_ret, lsm, iter, struct_ops are 64-bit words ------------- */

#define ___bpf_ctx0 ctx
#define ___bpf_ctx1 ___bpf_ctx0, (void *)ctx[0]
#define ___bpf_ctx2 ___bpf_ctx1, (void *)ctx[1]
#define ___bpf_ctx3 ___bpf_ctx2, (void *)ctx[2]
#define ___bpf_ctx4 ___bpf_ctx3, (void *)ctx[3]
#define ___bpf_ctx5 ___bpf_ctx4, (void *)ctx[4]
#define ___bpf_ctx6 ___bpf_ctx5, (void *)ctx[5]
#define ___bpf_ctx7 ___bpf_ctx6, (void *)ctx[6]
#define ___bpf_ctx8 ___bpf_ctx7, (void *)ctx[7]
#define ___bpf_ctx9 ___bpf_ctx8, (void *)ctx[8]
#define ___bpf_ctx10 ___bpf_ctx9, (void *)ctx[9]
#define ___bpf_ctx11 ___bpf_ctx10, (void *)ctx[10]
#define ___bpf_ctx12 ___bpf_ctx11, (void *)ctx[11]

/*
 * int BPF_PROG(name, int a, struct b *b) { ... }: a program with the kernel's one argument, and the body in a function
 * with these. `ctx` is in scope in the body. A word becomes an argument of any type, hence the pragma.
 */
#define ___bpf_typed(name, context, call, args...)                                                                     \
	name(context);                                                                                                 \
	static __always_inline typeof(name(0)) ____##name(context, ##args);                                            \
	typeof(name(0)) name(context)                                                                                  \
	{                                                                                                              \
		_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"") return ____##name( \
			call);                                                                                         \
		_Pragma("GCC diagnostic pop")                                                                          \
	}                                                                                                              \
	static __always_inline typeof(name(0)) ____##name(context, ##args)

#define BPF_PROG(name, args...)                                                                                        \
	___bpf_typed(name, unsigned long long *ctx, ___bpf_apply(___bpf_ctx, ___bpf_narg(args)), ##args)

/* --- BPF_KPROBE and its kin: the arguments are in registers -------------------------------------------------------- */

#define ___bpf_kprobe0 ctx
#define ___bpf_kprobe1 ___bpf_kprobe0, (void *)PT_REGS_PARM1(ctx)
#define ___bpf_kprobe2 ___bpf_kprobe1, (void *)PT_REGS_PARM2(ctx)
#define ___bpf_kprobe3 ___bpf_kprobe2, (void *)PT_REGS_PARM3(ctx)
#define ___bpf_kprobe4 ___bpf_kprobe3, (void *)PT_REGS_PARM4(ctx)
#define ___bpf_kprobe5 ___bpf_kprobe4, (void *)PT_REGS_PARM5(ctx)
#define ___bpf_kprobe6 ___bpf_kprobe5, (void *)PT_REGS_PARM6(ctx)
#define ___bpf_kprobe7 ___bpf_kprobe6, (void *)PT_REGS_PARM7(ctx)
#define ___bpf_kprobe8 ___bpf_kprobe7, (void *)PT_REGS_PARM8(ctx)
#define BPF_KPROBE(name, args...)                                                                                      \
	___bpf_typed(name, struct pt_regs *ctx, ___bpf_apply(___bpf_kprobe, ___bpf_narg(args)), ##args)

#define ___bpf_kretprobe0 ctx
#define ___bpf_kretprobe1 ctx, (void *)PT_REGS_RC(ctx)
#define BPF_KRETPROBE(name, args...)                                                                                   \
	___bpf_typed(name, struct pt_regs *ctx, ___bpf_apply(___bpf_kretprobe, ___bpf_narg(args)), ##args)

#define BPF_UPROBE(name, args...) BPF_KPROBE(name, ##args)
#define BPF_URETPROBE(name, args...) BPF_KRETPROBE(name, ##args)

/* Whether the kernel wraps its system calls is a question to the kernel: the loader answers it (a virtual option). */
extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;

#define ___bpf_ksyscall0 ctx
#define ___bpf_ksyscall1 ___bpf_ksyscall0, (void *)PT_REGS_PARM1_CORE_SYSCALL(___regs)
#define ___bpf_ksyscall2 ___bpf_ksyscall1, (void *)PT_REGS_PARM2_CORE_SYSCALL(___regs)
#define ___bpf_ksyscall3 ___bpf_ksyscall2, (void *)PT_REGS_PARM3_CORE_SYSCALL(___regs)
#define ___bpf_ksyscall4 ___bpf_ksyscall3, (void *)PT_REGS_PARM4_CORE_SYSCALL(___regs)
#define ___bpf_ksyscall5 ___bpf_ksyscall4, (void *)PT_REGS_PARM5_CORE_SYSCALL(___regs)
#define ___bpf_ksyscall6 ___bpf_ksyscall5, (void *)PT_REGS_PARM6_CORE_SYSCALL(___regs)
/* Both layouts are read through CO-RE, so one body serves wrapped (registers behind a pointer) and unwrapped. */
#define BPF_KSYSCALL(name, args...)                                                                                    \
	name(struct pt_regs *ctx);                                                                                     \
	extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;                                                              \
	static __always_inline typeof(name(0)) ____##name(struct pt_regs *ctx, ##args);                                \
	typeof(name(0)) name(struct pt_regs *ctx)                                                                      \
	{                                                                                                              \
		struct pt_regs *___regs __attribute__((unused)) =                                                      \
			LINUX_HAS_SYSCALL_WRAPPER ? PT_REGS_SYSCALL_REGS(ctx) : ctx;                                   \
		_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"") return ____##name( \
			___bpf_apply(___bpf_ksyscall, ___bpf_narg(args)));                                             \
		_Pragma("GCC diagnostic pop")                                                                          \
	}                                                                                                              \
	static __always_inline typeof(name(0)) ____##name(struct pt_regs *ctx, ##args)
#define BPF_KPROBE_SYSCALL BPF_KSYSCALL
#define BPF_KRETSYSCALL BPF_KRETPROBE

#endif
