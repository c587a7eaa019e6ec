package main

import "github.com/cilium/ebpf"

func objectOpen(given arguments) (answer, error) {
	repeat := given.number("repeat")
	programs := 0
	took := start()
	for range repeat {
		spec, err := ebpf.LoadCollectionSpec(given["path"])
		if err != nil {
			return nil, err
		}
		programs += len(spec.Programs)
	}
	return took.stop().answer(repeat, uint64(programs/repeat)), nil
}

// objectLoad gives each load a cache of its own, which is the default: the kernel's BTF is cold.
func objectLoad(given arguments) (answer, error) {
	took := start()
	spec, err := ebpf.LoadCollectionSpec(given["path"])
	if err != nil {
		return nil, err
	}
	collection, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, err
	}
	took = took.stop()
	programs := len(collection.Programs)
	collection.Close()
	return took.answer(1, uint64(programs)), nil
}
