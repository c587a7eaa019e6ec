// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* USDT programs by aiobpf's header. */
#include <bpf/bpf_uapi.h>
#include <bpf/usdt.bpf.h>

#include "usdt_programs.h"
