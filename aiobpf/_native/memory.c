#define _GNU_SOURCE

#include "memory.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* glibc 2.27; kernels before 4.17 take it for a hint */
#endif

int memory_map(int fd, uint64_t offset, uint64_t length, int writable, void **address)
{
	void *mapped = mmap(NULL, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, (off_t)offset);

	if (mapped == MAP_FAILED)
		return -errno;
	*address = mapped;
	return 0;
}

int memory_map_at(int fd, uint64_t wanted, uint64_t length, void **address)
{
	/* Not MAP_FIXED, which would throw out what is there. */
	int flags = MAP_SHARED | (wanted ? MAP_FIXED_NOREPLACE : 0);
	void *mapped = mmap((void *)(uintptr_t)wanted, length, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (mapped == MAP_FAILED)
		return -errno;
	*address = mapped;
	return 0;
}

int memory_copy(void *buffer, uint64_t address, uint64_t length, int to_address)
{
	uint64_t done = 0;

	while (done < length) {
		struct iovec here = {(char *)buffer + done, length - done};
		struct iovec there = {(void *)(uintptr_t)(address + done), length - done};
		ssize_t copied = to_address ? process_vm_writev(getpid(), &here, 1, &there, 1, 0) :
					      process_vm_readv(getpid(), &here, 1, &there, 1, 0);

		if (copied <= 0)
			return copied ? -errno : -EFAULT;
		done += copied;
	}
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
