/* Where a process that runs under callgrind says what is counted; elsewhere all of it does nothing. */
#include <valgrind/callgrind.h>

int guard_is_counted(void)
{
	return RUNNING_ON_VALGRIND != 0;
}

void guard_start(void)
{
	CALLGRIND_START_INSTRUMENTATION;
}

void guard_stop(void)
{
	CALLGRIND_STOP_INSTRUMENTATION;
}

void guard_zero(void)
{
	CALLGRIND_ZERO_STATS;
}

void guard_dump(const char *name)
{
	CALLGRIND_DUMP_STATS_AT(name);
}
