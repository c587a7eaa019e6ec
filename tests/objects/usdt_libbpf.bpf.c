// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* USDT programs by libbpf's own header, as Debian has it (1.1.2). */
#include <linux/bpf.h>
#include <linux/ptrace.h>

typedef _Bool bool; /* which the header has from vmlinux.h */
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

#include "usdt_programs.h"
