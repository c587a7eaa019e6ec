#ifndef AIOBPF_SYSCALLS_H
#define AIOBPF_SYSCALLS_H

/*
 * System calls that libc does not wrap, or that make a descriptor. Each returns -errno.
 *
 * One that makes a descriptor stores it in *owner, a cell that a Python OwnedFd already holds, before Python runs again:
 * there is no moment in which an interrupt could lose it. The cell is -1 while it owns nothing.
 */

int sys_bpf(int command, void *attr, unsigned int size);
int sys_bpf_fd(int command, void *attr, unsigned int size, int *owner);
int sys_perf_event_open(void *attr, int pid, int cpu, int group, unsigned long flags, int *owner);
int sys_ioctl(int fd, unsigned long request, unsigned long argument);
int sys_ioctl_pointer(int fd, unsigned long request, void *argument);

int sys_openat(int directory, const char *path, int flags, int *owner);
int sys_fsopen(const char *type, unsigned int flags, int *owner);
int sys_fsconfig(int fd, unsigned int command, const char *key, const void *value, int aux);
int sys_fsmount(int fd, unsigned int flags, unsigned int attributes, int *owner);

int sys_membarrier(int command);

int sys_timerfd_create(int *owner);
int sys_timerfd_settime(int fd, long long nanoseconds);

long long filesystem_type(const char *path);

int fd_take(int *owner);
int fd_close(int *owner);
void fd_move(int *from, int *to);
int fd_duplicate(int fd, int *owner);

#endif
