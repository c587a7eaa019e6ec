// SPDX-License-Identifier: MIT
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#include "side.h"

/* KiB of this process in memory: everything, and what no file stands behind. */
static void resident(long *all, long *anonymous)
{
	char line[128];
	FILE *file = fopen("/proc/self/status", "re");

	*all = *anonymous = 0;
	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "VmRSS: %ld", all);
		sscanf(line, "RssAnon: %ld", anonymous);
	}
	if (file)
		fclose(file);
}

void btf_find(char *const *arguments)
{
	const char *path = text_argument(arguments, "path"), *name = text_argument(arguments, "name");
	long all[2], anonymous[2];
	struct stopwatch took;
	struct btf *btf;
	int id;

	resident(&all[0], &anonymous[0]);
	took = start();
	btf = btf__parse(path, NULL);
	if (!btf) {
		answer_error("btf__parse", errno);
		return;
	}
	id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	if (id < 0 || btf_vlen(btf__type_by_id(btf, id)) == 0) {
		answer_error("btf__find_by_name_kind", id);
		return;
	}
	took = stop(took);
	resident(&all[1], &anonymous[1]);
	btf__free(btf);
	printf("{\"ns\": %lu, \"cpu_ns\": %lu, \"count\": 1, \"sum\": %d, \"rss_kib\": %ld, \"anonymous_kib\": %ld}\n",
	       took.wall_ns, took.cpu_ns, id, all[1] - all[0], anonymous[1] - anonymous[0]);
}
