// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The same for libbpf before 1.7. */
#define BPF_USDT_WITHOUT_SIB
#include <bpf/bpf_uapi.h>
#include <bpf/usdt.bpf.h>

#include "usdt_programs.h"
