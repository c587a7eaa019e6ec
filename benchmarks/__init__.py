"""aiobpf measured beside libbpf in C, cilium/ebpf in Go, aya in Rust and a BCC-style ctypes program.

``python -m benchmarks`` (as root; ``nox -s bench``) builds the peers, runs all sides in one run on the same input, and
writes docs/performance.json with every sample, and from it the tables of docs/performance.md and the plots beside them.
"""
