#include "atomics.h"

#include <errno.h>

enum { LOAD, STORE, ADD, AND, OR, XOR, EXCHANGE, COMPARE };

/* The memory is shared with programs, so nothing but the processor's own atomic instructions orders the two sides. */
#define APPLY(type)                                                                                                    \
	static int apply_##type(type *at, int operation, type operand, type expected, uint64_t *old)                   \
	{                                                                                                              \
		switch (operation) {                                                                                   \
		case LOAD:                                                                                             \
			*old = __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                  \
			return 0;                                                                                      \
		case STORE:                                                                                            \
			__atomic_store_n(at, operand, __ATOMIC_SEQ_CST);                                               \
			return 0;                                                                                      \
		case ADD:                                                                                              \
			*old = __atomic_fetch_add(at, operand, __ATOMIC_SEQ_CST);                                      \
			return 0;                                                                                      \
		case AND:                                                                                              \
			*old = __atomic_fetch_and(at, operand, __ATOMIC_SEQ_CST);                                      \
			return 0;                                                                                      \
		case OR:                                                                                               \
			*old = __atomic_fetch_or(at, operand, __ATOMIC_SEQ_CST);                                       \
			return 0;                                                                                      \
		case XOR:                                                                                              \
			*old = __atomic_fetch_xor(at, operand, __ATOMIC_SEQ_CST);                                      \
			return 0;                                                                                      \
		case EXCHANGE:                                                                                         \
			*old = __atomic_exchange_n(at, operand, __ATOMIC_SEQ_CST);                                     \
			return 0;                                                                                      \
		case COMPARE:                                                                                          \
			__atomic_compare_exchange_n(at, &expected, operand, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);    \
			*old = expected;                                                                               \
			return 0;                                                                                      \
		}                                                                                                      \
		return -EINVAL;                                                                                        \
	}

APPLY(uint8_t)
APPLY(uint16_t)
APPLY(uint32_t)
APPLY(uint64_t)

int atomic_apply(void *address, uint32_t size, int operation, uint64_t operand, uint64_t expected, uint64_t *old)
{
	if (size == 0 || (uintptr_t)address % size)
		return -EINVAL;
	switch (size) {
	case 1:
		return apply_uint8_t(address, operation, (uint8_t)operand, (uint8_t)expected, old);
	case 2:
		return apply_uint16_t(address, operation, (uint16_t)operand, (uint16_t)expected, old);
	case 4:
		return apply_uint32_t(address, operation, (uint32_t)operand, (uint32_t)expected, old);
	case 8:
		return apply_uint64_t(address, operation, operand, expected, old);
	}
	return -EINVAL;
}
