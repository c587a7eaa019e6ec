package main

import (
	"errors"

	"github.com/cilium/ebpf"
)

// bulkLookup reads all elements with one call, and sums their values.
func bulkLookup(given arguments) (answer, error) {
	m, err := mapOf(given.number("fd"))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	count := given.number("count")
	var sum uint64
	var cursor ebpf.MapBatchCursor
	took := start()
	keys, values := make([]uint32, count), make([]uint64, count)
	found, err := m.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, err
	}
	for _, value := range values[:found] {
		sum += value
	}
	return took.stop().answer(found, sum), nil
}

func bulkUpdate(given arguments) (answer, error) {
	m, err := mapOf(given.number("fd"))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	count, salt := given.number("count"), uint64(given.number("salt"))
	keys, values := make([]uint32, count), make([]uint64, count)
	for i := range count {
		keys[i], values[i] = uint32(i), uint64(i)^salt
	}
	took := start()
	done, err := m.BatchUpdate(keys, values, nil)
	if err != nil {
		return nil, err
	}
	return took.stop().answer(count, uint64(done)), nil
}

func bulkDelete(given arguments) (answer, error) {
	m, err := mapOf(given.number("fd"))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	count := given.number("count")
	keys := make([]uint32, count)
	for i := range count {
		keys[i] = uint32(i)
	}
	took := start()
	done, err := m.BatchDelete(keys, nil)
	if err != nil {
		return nil, err
	}
	return took.stop().answer(count, uint64(done)), nil
}
