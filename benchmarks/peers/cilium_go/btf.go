package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// resident is KiB of this process in memory: everything, and what no file stands behind.
func resident() (all, anonymous int) {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		_, _ = fmt.Sscanf(strings.Join(strings.Fields(lines.Text()), " "), "VmRSS: %d", &all)
		_, _ = fmt.Sscanf(strings.Join(strings.Fields(lines.Text()), " "), "RssAnon: %d", &anonymous)
	}
	return all, anonymous
}

// btfFind opens with LoadKernelSpec, which maps the kernel's own BTF instead of reading it.
func btfFind(given arguments) (answer, error) {
	load := btf.LoadKernelSpec
	if path := given["path"]; path != "/sys/kernel/btf/vmlinux" {
		load = func() (*btf.Spec, error) { return btf.LoadSpec(path) }
	}
	allBefore, anonymousBefore := resident()
	took := start()
	spec, err := load()
	if err != nil {
		return nil, err
	}
	var found *btf.Struct
	if err := spec.TypeByName(given["name"], &found); err != nil {
		return nil, err
	}
	id, err := spec.TypeID(found)
	if err != nil {
		return nil, err
	}
	took = took.stop()
	all, anonymous := resident()
	runtime.KeepAlive(spec)
	result := took.answer(1, uint64(id))
	result["rss_kib"], result["anonymous_kib"] = all-allBefore, anonymous-anonymousBefore
	return result, nil
}
