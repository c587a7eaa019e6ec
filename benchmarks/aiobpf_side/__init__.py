"""aiobpf as a side of the benchmarks: used as its documentation says, with the options it has by default."""
