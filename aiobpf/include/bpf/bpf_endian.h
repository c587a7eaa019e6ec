/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Host to network byte order and back, for both byte orders of the BPF target; constants fold. */
#ifndef __AIOBPF_BPF_ENDIAN_H__
#define __AIOBPF_BPF_ENDIAN_H__

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define bpf_htons(x) ((__u16)__builtin_bswap16(x))
#define bpf_htonl(x) ((__u32)__builtin_bswap32(x))
#define bpf_cpu_to_be64(x) ((__u64)__builtin_bswap64(x))
#elif __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define bpf_htons(x) ((__u16)(x))
#define bpf_htonl(x) ((__u32)(x))
#define bpf_cpu_to_be64(x) ((__u64)(x))
#else
#error "a byte order that BPF does not have"
#endif

/* Each is its own inverse. */
#define bpf_ntohs(x) bpf_htons(x)
#define bpf_ntohl(x) bpf_htonl(x)
#define bpf_be64_to_cpu(x) bpf_cpu_to_be64(x)

#endif
