package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// sleeps is how often a thread of this process gave its CPU away to wait.
func sleeps() int64 {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return usage.Nvcsw
}

// live reads a ring that is filled meanwhile, until the record whose sequence number is the last.
func live(given arguments) (answer, error) {
	reader, err := readerOf(given.number("fd"))
	if err != nil {
		return nil, err
	}
	last, mask := uint64(given.number("last")), uint64(given.number("mask"))
	latencies := make([]int64, 0, given.number("count")/int(mask+1)+1)
	reader.SetDeadline(time.Now().Add(time.Minute))
	defer reader.SetDeadline(time.Time{})
	var record ringbuf.Record
	var sum uint64
	count := 0
	fmt.Println(`{"ready": true}`)
	slept := sleeps()
	took := start()
	for {
		if err := reader.ReadInto(&record); err != nil {
			return nil, err
		}
		sequence := binary.NativeEndian.Uint64(record.RawSample)
		if sequence&mask == 0 {
			submitted := binary.NativeEndian.Uint64(record.RawSample[8:])
			latencies = append(latencies, clock(unix.CLOCK_MONOTONIC)-int64(submitted))
		}
		sum += sequence
		count++
		if sequence >= last {
			break
		}
	}
	result := took.stop().answer(count, sum)
	result["end_ns"] = clock(unix.CLOCK_MONOTONIC)
	result["sleeps"] = sleeps() - slept
	slices.Sort(latencies)
	result["p50_ns"], result["p99_ns"] = latencies[len(latencies)/2], latencies[len(latencies)*99/100]
	return result, nil
}
