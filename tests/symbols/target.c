/* A process with a stack that is known: main, outer, inner; and an address of each on its first line. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noinline)) long inner(int number)
{
	long result;

	/* In place: libc's syscall() keeps no frame pointer, and the kernel would pass over who called it. */
#if defined(__x86_64__)
	__asm__ volatile("syscall" : "=a"(result) : "0"((long)SYS_getpgid), "D"((long)number) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = SYS_getpgid;
	register long x0 __asm__("x0") = number;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8) : "memory");
	result = x0;
#else
	result = syscall(SYS_getpgid, number);
#endif
	return result;
}

__attribute__((noinline)) long outer(int number)
{
	long result = inner(number);

	__asm__ volatile("" : "+r"(result));
	return result;
}

int main(void)
{
	printf("%p %p %p\n", (void *)inner, (void *)outer, (void *)main);
	fflush(stdout);
	for (;;) {
		outer(0);
		usleep(1000);
	}
}
