#define _GNU_SOURCE

#include "memory.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

int memory_map(int fd, uint64_t offset, uint64_t length, int writable, void **address)
{
	void *mapped = mmap(NULL, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, (off_t)offset);

	if (mapped == MAP_FAILED)
		return -errno;
	*address = mapped;
	return 0;
}

int memory_unmap(void *address, uint64_t length)
{
	return munmap(address, length) ? -errno : 0;
}

int memory_overlay(void *address, uint64_t length, int fd)
{
	/* Mapped elsewhere first, then moved: a failed MAP_FIXED can leave a hole that another thread's mapping falls into. */
	void *mapped = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	int error;

	if (mapped == MAP_FAILED)
		return -errno;
	if (mremap(mapped, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, address) == MAP_FAILED) {
		error = -errno;
		munmap(mapped, length);
		return error;
	}
	return 0;
}
