// SPDX-License-Identifier: MIT
#include <bpf/libbpf.h>
#include <errno.h>

#include "side.h"

void object_open(char *const *arguments)
{
	const char *path = text_argument(arguments, "path");
	long repeat = argument(arguments, "repeat");
	uint64_t programs = 0;
	struct stopwatch took = start();

	for (long i = 0; i < repeat; i++) {
		struct bpf_object *object = bpf_object__open_file(path, NULL);
		struct bpf_program *program;

		if (!object) {
			answer_error("bpf_object__open_file", errno);
			return;
		}
		bpf_object__for_each_program(program, object)
			programs++;
		bpf_object__close(object);
	}
	answer(stop(took), repeat, programs / repeat);
}

/* libbpf parses the kernel's BTF for each object anew: it is always cold. */
void object_load(char *const *arguments)
{
	const char *path = text_argument(arguments, "path");
	struct stopwatch took = start();
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	uint64_t programs = 0;
	struct bpf_program *program;
	int error;

	if (!object) {
		answer_error("bpf_object__open_file", errno);
		return;
	}
	error = bpf_object__load(object);
	took = stop(took);
	if (error) {
		bpf_object__close(object);
		answer_error("bpf_object__load", error);
		return;
	}
	bpf_object__for_each_program(program, object)
		programs += bpf_program__fd(program) >= 0;
	bpf_object__close(object);
	answer(took, 1, programs);
}
