#define _GNU_SOURCE
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A build host's headers may be older than the call; these numbers are the same on every architecture since 5.2. */
#ifndef __NR_fsopen
#define __NR_fsopen 430
#define __NR_fsconfig 431
#define __NR_fsmount 432
#endif

static int outcome(long result)
{
	return result < 0 ? -errno : (int)result;
}

static int own(long result, int *owner)
{
	if (result < 0)
		return -errno;
	__atomic_store_n(owner, (int)result, __ATOMIC_RELEASE);
	return 0;
}

int sys_bpf(int command, void *attr, unsigned int size)
{
	return outcome(syscall(__NR_bpf, command, attr, size));
}

int sys_bpf_fd(int command, void *attr, unsigned int size, int *owner)
{
	return own(syscall(__NR_bpf, command, attr, size), owner);
}

int sys_perf_event_open(void *attr, int pid, int cpu, int group, unsigned long flags, int *owner)
{
	return own(syscall(__NR_perf_event_open, attr, pid, cpu, group, flags), owner);
}

int sys_ioctl(int fd, unsigned long request, unsigned long argument)
{
	return outcome(ioctl(fd, request, argument));
}

int sys_ioctl_pointer(int fd, unsigned long request, void *argument)
{
	return outcome(ioctl(fd, request, argument));
}

int sys_membarrier(int command)
{
	return outcome(syscall(__NR_membarrier, command, 0, 0));
}

int sys_openat(int directory, const char *path, int flags, int *owner)
{
	return own(openat(directory, path, flags | O_CLOEXEC), owner);
}

int sys_fsopen(const char *type, unsigned int flags, int *owner)
{
	return own(syscall(__NR_fsopen, type, flags), owner);
}

int sys_fsconfig(int fd, unsigned int command, const char *key, const void *value, int aux)
{
	return outcome(syscall(__NR_fsconfig, fd, command, key, value, aux));
}

int sys_fsmount(int fd, unsigned int flags, unsigned int attributes, int *owner)
{
	return own(syscall(__NR_fsmount, fd, flags, attributes), owner);
}

int sys_timerfd_create(int *owner)
{
	return own(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), owner);
}

/* Expires once, in so many nanoseconds; 0 stops it. Either way what expired before is forgotten. */
int sys_timerfd_settime(int fd, long long nanoseconds)
{
	struct itimerspec when = {.it_value = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000}};

	return outcome(timerfd_settime(fd, 0, &when, NULL));
}

/* The magic number of the file system that *path* is on, or -errno. */
long long filesystem_type(const char *path)
{
	struct statfs about;

	return statfs(path, &about) < 0 ? -errno : (long long)(unsigned int)about.f_type;
}

/* Whoever takes the descriptor owns it; every other thread that tries gets -1, thus it is closed once. */
int fd_take(int *owner)
{
	return __atomic_exchange_n(owner, -1, __ATOMIC_ACQ_REL);
}

/*
 * Closes what *owner* has, if it has; the number it was, or -1. Taken and closed without a way back to Python between:
 * what only Python's stack knew, an interrupt there would leak. Linux frees the number before anything in close can
 * fail, EINTR too: never closed twice.
 */
int fd_close(int *owner)
{
	int fd = fd_take(owner);

	if (fd >= 0)
		close(fd);
	return fd;
}

/* *to* owns nothing before. */
void fd_move(int *from, int *to)
{
	__atomic_store_n(to, fd_take(from), __ATOMIC_RELEASE);
}

int fd_duplicate(int fd, int *owner)
{
	return own(fcntl(fd, F_DUPFD_CLOEXEC, 3), owner);
}
