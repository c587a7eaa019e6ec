"""The only boundary to the kernel: bpf(2), perf_event_open(2), tracefs, and what /proc and /sys tell.

Everything here is synchronous but `in_worker`, which runs the rest off the event loop. Every new descriptor is an
`OwnedFd` from the moment the system call returns. Nothing here knows an ELF file or a specification.
"""
