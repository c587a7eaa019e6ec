#ifndef AIOBPF_ATOMICS_H
#define AIOBPF_ATOMICS_H

#include <stdint.h>

/*
 * One atomic operation on the integer of *size* bytes (1, 2, 4 or 8) at *address*, sequentially consistent as BPF's own.
 * *old* is what was there. Operations: 0 load, 1 store, 2 add, 3 and, 4 or, 5 xor, 6 exchange, 7 compare and exchange
 * (*operand* is put there where *expected* is). -EINVAL where the address is no multiple of the size.
 */
int atomic_apply(void *address, uint32_t size, int operation, uint64_t operand, uint64_t expected, uint64_t *old);

#endif
