package main

import (
	"errors"

	"github.com/cilium/ebpf"
)

type traffic struct {
	Packets uint64
	Bytes   uint64
}

func mapLookup(given arguments) (answer, error) {
	m, err := mapOf(given.number("fd"))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	keys, count := uint32(given.number("keys")), given.number("count")
	var sum uint64
	var value traffic
	took := start()
	for i := range count {
		key := uint32(i) % keys
		if err := m.Lookup(&key, &value); err != nil {
			return nil, err
		}
		sum += value.Bytes
	}
	return took.stop().answer(count, sum), nil
}

func mapUpdate(given arguments) (answer, error) {
	m, err := mapOf(given.number("fd"))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	keys, count, salt := uint32(given.number("keys")), given.number("count"), uint64(given.number("salt"))
	var sum uint64
	var value traffic
	took := start()
	for i := range count {
		key := uint32(i) % keys
		value = traffic{Packets: uint64(i), Bytes: uint64(key)*64 + salt}
		if err := m.Put(&key, &value); err != nil {
			return nil, err
		}
		sum += uint64(key)
	}
	return took.stop().answer(count, sum), nil
}

const chunk = 65536

func mapScan(given arguments) (answer, error) {
	m, err := mapOf(given.number("fd"))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	entries := given.number("count")
	found := 0
	var sum uint64
	var cursor ebpf.MapBatchCursor
	took := start()
	keys, values := make([]uint32, entries), make([]uint64, entries)
	for found < entries {
		end := min(found+chunk, entries)
		n, err := m.BatchLookup(&cursor, keys[found:end], values[found:end], nil)
		found += n
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	for _, value := range values[:found] {
		sum += value
	}
	return took.stop().answer(found, sum), nil
}
