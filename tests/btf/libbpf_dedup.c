// What libbpf makes of a BTF when it deduplicates it: IN to OUT, both raw.
#include <bpf/btf.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	static char data[64 << 20];
	const void *result;
	struct btf *btf;
	__u32 size;
	FILE *file;

	if (argc != 3 || !(file = fopen(argv[1], "rb")))
		return 2;
	btf = btf__new(data, fread(data, 1, sizeof(data), file));
	fclose(file);
	if (!btf || btf__dedup(btf, NULL))
		return 1;
	result = btf__raw_data(btf, &size);
	file = fopen(argv[2], "wb");
	if (!file || fwrite(result, 1, size, file) != size || fclose(file))
		return 2;
	btf__free(btf);
	return 0;
}
