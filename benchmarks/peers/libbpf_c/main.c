// SPDX-License-Identifier: MIT
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "side.h"

static const struct {
	const char *name;
	command_fn *run;
} COMMANDS[] = {
	{"ring", ring},		{"wake", wake},		{"live", live},		{"btf", btf_find},
	{"open", object_open},	{"load", object_load},	{"lookup", map_lookup}, {"update", map_update},
	{"scan", map_scan},	{"bulk-lookup", bulk_lookup},
	{"bulk-update", bulk_update}, {"bulk-delete", bulk_delete},
};

const char *text_argument(char *const *arguments, const char *key)
{
	size_t length = strlen(key);

	for (; *arguments; arguments++)
		if (!strncmp(*arguments, key, length) && (*arguments)[length] == '=')
			return *arguments + length + 1;
	fprintf(stderr, "no argument %s\n", key);
	exit(2);
}

long argument(char *const *arguments, const char *key)
{
	return atol(text_argument(arguments, key));
}

void answer(struct stopwatch took, uint64_t count, uint64_t sum)
{
	printf("{\"ns\": %lu, \"cpu_ns\": %lu, \"count\": %lu, \"sum\": %lu}\n", took.wall_ns, took.cpu_ns, count, sum);
}

void answer_error(const char *what, int error)
{
	printf("{\"error\": \"%s: %s\"}\n", what, strerror(error < 0 ? -error : error));
}

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	libbpf_set_print(quiet);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"side\": \"libbpf\", \"version\": \"%s\", \"compiler\": \"gcc %s\"}\n", libbpf_version_string() + 1,
	       __VERSION__);
	while (getline(&line, &room, stdin) > 0) {
		char *words[16] = {0};
		int count = 0;
		size_t i;

		for (char *word = strtok(line, "\t\n"); word && count < 15; word = strtok(NULL, "\t\n"))
			words[count++] = word;
		for (i = 0; i < sizeof(COMMANDS) / sizeof(*COMMANDS); i++)
			if (count && !strcmp(words[0], COMMANDS[i].name))
				break;
		if (i < sizeof(COMMANDS) / sizeof(*COMMANDS))
			COMMANDS[i].run(words + 1);
		else
			printf("{\"unsupported\": true}\n");
	}
	free(line);
	return 0;
}
