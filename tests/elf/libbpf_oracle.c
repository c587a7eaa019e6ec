// SPDX-License-Identifier: MIT
/*
 * What libbpf makes of an object file, as JSON, without the kernel's help: bpf(2) is replaced by a function that says
 * yes, so a program's instructions can be seen as libbpf would load them.
 *
 *	oracle OBJECT [BTF]
 *
 * prints maps and programs; with BTF (a raw BTF file, for CO-RE) also each program's relocated instructions.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct bpf_insn *loaded;
static size_t loaded_count;
static char wanted[16];

static long fake_bpf(int command, union bpf_attr *attr)
{
	switch (command) {
	case BPF_PROG_LOAD:
		if (wanted[0] && !strncmp(attr->prog_name, wanted, 15)) {
			free(loaded);
			loaded_count = attr->insn_cnt;
			loaded = malloc(loaded_count * 8 + 1);
			memcpy(loaded, (void *)attr->insns, loaded_count * 8);
		}
		return memfd_create("program", 0);
	case BPF_MAP_CREATE: {
		int map = memfd_create("map", 0);
		/* An arena's variables are written through its mapping. */
		if (map >= 0 && ftruncate(map, 1L << 32))
			abort();
		return map;
	}
	case BPF_BTF_LOAD:
		return memfd_create("btf", 0);
	case BPF_BTF_GET_NEXT_ID:
	case BPF_MAP_GET_NEXT_ID:
		errno = ENOENT;
		return -1;
	case BPF_OBJ_GET:
		errno = ENOENT;
		return -1;
	case BPF_LINK_CREATE:
		errno = EBADF; /* what the probe for links of perf events wants to see */
		return -1;
	default:
		return 0;
	}
}

/* libbpf calls the C library's syscall(); this one is found first. */
long syscall(long number, ...)
{
	long a[6];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_bpf)
		return fake_bpf((int)a[0], (union bpf_attr *)a[1]);
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list list)
{
	if (level == LIBBPF_WARN && getenv("ORACLE_VERBOSE"))
		vfprintf(stderr, format, list);
	return 0;
}

static void print_map(const struct bpf_map *map, const char *comma)
{
	size_t size = 0;
	bpf_map__initial_value((struct bpf_map *)map, &size);
	printf("%s\n  {\"name\": \"%s\", \"type\": %u, \"key_size\": %u, \"value_size\": %u, \"max_entries\": %u, "
	       "\"flags\": %u, \"numa_node\": %u, \"map_extra\": %llu, \"internal\": %s, \"pin\": %s, \"inner\": %s, "
	       "\"key_type\": %u, \"value_type\": %u}",
	       comma, bpf_map__name(map), bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
	       bpf_map__max_entries(map), bpf_map__map_flags(map), bpf_map__numa_node(map),
	       (unsigned long long)bpf_map__map_extra(map), bpf_map__is_internal(map) ? "true" : "false",
	       bpf_map__pin_path(map) ? "true" : "false",
	       bpf_map__inner_map((struct bpf_map *)map) ? "true" : "false", bpf_map__btf_key_type_id(map),
	       bpf_map__btf_value_type_id(map));
}

/* Loads one program and prints its instructions; those that load a map say which instead of its fd. */
static void print_instructions(const char *path, const char *btf, const char *name, const char *attach_to)
{
	/* A configuration of its own: not every machine shows its kernel's. */
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = btf,
		    .kconfig = "CONFIG_HZ=250\nCONFIG_BPF_SYSCALL=y\nCONFIG_IPV6=m\nCONFIG_CC_VERSION_TEXT=\"test\"\n");
	struct bpf_object *object = bpf_object__open_file(path, &options);
	struct bpf_program *program;
	struct bpf_map *map;
	if (!object) {
		printf("null");
		return;
	}
	bpf_object__for_each_program(program, object) {
		int is_wanted = !strcmp(bpf_program__name(program), name);
		bpf_program__set_autoload(program, is_wanted);
		if (is_wanted && attach_to)
			bpf_program__set_attach_target(program, 0, attach_to);
	}
	bpf_object__for_each_map(map, object) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF && !bpf_map__max_entries(map))
			bpf_map__set_max_entries(map, 1);
		bpf_map__set_pin_path(map, NULL);
	}
	snprintf(wanted, sizeof(wanted), "%.15s", name);
	loaded_count = 0;
	int error = bpf_object__load(object);
	wanted[0] = 0;
	if (error && !attach_to) {
		/* The running kernel may lack the function that the section names; which one it is does not matter here. */
		bpf_object__close(object);
		return print_instructions(path, btf, name, "vfs_read");
	}
	if (error || !loaded_count) {
		printf("null");
	} else {
		printf("{\"code\": \"");
		for (size_t i = 0; i < loaded_count * 8; i++)
			printf("%02x", ((unsigned char *)loaded)[i]);
		printf("\", \"maps\": {");
		const char *comma = "";
		bpf_object__for_each_map(map, object) {
			if (bpf_map__fd(map) >= 0) {
				printf("%s\"%d\": \"%s\"", comma, bpf_map__fd(map), bpf_map__name(map));
				comma = ", ";
			}
		}
		printf("}}");
	}
	bpf_object__close(object);
}

int main(int argc, char **argv)
{
	const struct bpf_map *map;
	struct bpf_program *program;
	const char *comma = "";
	libbpf_set_print(quiet);
	struct bpf_object *object = bpf_object__open_file(argv[1], NULL);
	if (!object) {
		printf("{\"error\": %d}\n", errno);
		return 0;
	}
	printf("{\"version\": %u, \"maps\": [", bpf_object__kversion(object));
	bpf_object__for_each_map(map, object) {
		print_map(map, comma);
		comma = ",";
	}
	printf("], \"programs\": [");
	comma = "";
	bpf_object__for_each_program(program, object) {
		printf("%s\n  {\"name\": \"%s\", \"section\": \"%s\", \"type\": %u, \"attach_type\": %u, \"flags\": %u, "
		       "\"autoload\": %s, \"slots\": %zu, \"loaded\": ",
		       comma, bpf_program__name(program), bpf_program__section_name(program),
		       bpf_program__type(program), bpf_program__expected_attach_type(program),
		       bpf_program__flags(program), bpf_program__autoload(program) ? "true" : "false",
		       bpf_program__insn_cnt(program));
		if (argc > 2)
			print_instructions(argv[1], argv[2], bpf_program__name(program), NULL);
		else
			printf("null");
		printf("}");
		comma = ",";
	}
	printf("]}\n");
	bpf_object__close(object);
	return 0;
}
