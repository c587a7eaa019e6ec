// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Functions and variables only: weak ones that others come before, and a static one that shares its name. */
#include "linking.h"

int spare_level = 9;
char odd[3] SEC(".data.custom") = "odd";
int limit __weak = 1;

static __noinline int same(int x)
{
	barrier_var(x);
	return x + 50000;
}

__weak __noinline int choose(int x)
{
	barrier_var(x);
	return same(x) + limit;
}

__weak __noinline int spare(int x)
{
	barrier_var(x);
	return same(x) + spare_level + odd[1];
}
