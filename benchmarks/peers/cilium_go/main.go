// One side of the benchmarks: a command a line on stdin (case TAB key=value TAB ...), an answer a line on stdout (JSON).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

type arguments map[string]string

func (a arguments) number(key string) int {
	value, err := strconv.Atoi(a[key])
	if err != nil {
		fmt.Fprintf(os.Stderr, "argument %s: %v\n", key, err)
		os.Exit(2)
	}
	return value
}

type answer map[string]any

var commands = map[string]func(arguments) (answer, error){
	"ring":   ring,
	"wake":   wake,
	"live":   live,
	"btf":    btfFind,
	"open":   objectOpen,
	"load":   objectLoad,
	"lookup": mapLookup,
	"update": mapUpdate,
	"scan":   mapScan,

	"bulk-lookup": bulkLookup,
	"bulk-update": bulkUpdate,
	"bulk-delete": bulkDelete,
}

func clock(id int32) int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(id, &now)
	return now.Nano()
}

// stopwatch takes wall time and the processor time of all threads, the garbage collector's included.
type stopwatch struct{ wall, cpu int64 }

func start() stopwatch {
	return stopwatch{cpu: clock(unix.CLOCK_PROCESS_CPUTIME_ID), wall: clock(unix.CLOCK_MONOTONIC)}
}

func (s stopwatch) stop() stopwatch {
	wall := clock(unix.CLOCK_MONOTONIC)
	return stopwatch{wall: wall - s.wall, cpu: clock(unix.CLOCK_PROCESS_CPUTIME_ID) - s.cpu}
}

func (s stopwatch) answer(count int, sum uint64) answer {
	return answer{"ns": s.wall, "cpu_ns": s.cpu, "count": count, "sum": sum}
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/cilium/ebpf" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "unknown"
}

func main() {
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(answer{"side": "cilium/ebpf", "version": version(), "compiler": runtime.Version()})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Split(lines.Text(), "\t")
		given := arguments{}
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			given[key] = value
		}
		command, known := commands[words[0]]
		if !known {
			_ = out.Encode(answer{"unsupported": true})
			continue
		}
		result, err := command(given)
		if err != nil {
			result = answer{"error": err.Error()}
		}
		_ = out.Encode(result)
	}
}
