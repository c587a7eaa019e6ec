/* What libbpf's probes say of this kernel: a line for each program type, map type and helper of a program type. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return 0;
}

int main(int argc, char **argv)
{
	int programs = atoi(argv[1]), maps = atoi(argv[2]), helpers = atoi(argv[3]);

	libbpf_set_print(quiet);
	for (int type = 1; type <= programs; type++)
		printf("program %d 0 %d\n", type, libbpf_probe_bpf_prog_type(type, NULL));
	for (int type = 1; type <= maps; type++)
		printf("map %d 0 %d\n", type, libbpf_probe_bpf_map_type(type, NULL));
	for (int type = 1; type <= programs; type++)
		for (int helper = 1; helper <= helpers; helper++)
			printf("helper %d %d %d\n", type, helper, libbpf_probe_bpf_helper(type, helper, NULL));
	return 0;
}
