#ifndef AIOBPF_MEMORY_H
#define AIOBPF_MEMORY_H

#include <stdint.h>

/*
 * Memory that a descriptor maps, shared with the kernel. Python's mmap would keep a duplicate of the descriptor beside
 * each mapping (before 3.13), two for a ring buffer and one for each CPU of a perf buffer. Both return 0 or -errno.
 */

int memory_map(int fd, uint64_t offset, uint64_t length, int writable, void **address);

/*
 * The whole of an arena: at *wanted, if that is not 0 (EEXIST where something is there already). *address is where it is.
 */
int memory_map_at(int fd, uint64_t wanted, uint64_t length, void **address);
int memory_unmap(void *address, uint64_t length);

/* Copies to or from memory of this process that may not be there: -EFAULT then, where a plain access would end it. */
int memory_copy(void *buffer, uint64_t address, uint64_t length, int to_address);

/* Puts the first *length* bytes of a file, private and read only, where an anonymous mapping of that size is now. */
int memory_overlay(void *address, uint64_t length, int fd);

#endif
