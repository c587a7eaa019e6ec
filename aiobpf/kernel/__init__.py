"""The only boundary to the kernel: bpf(2), perf_event_open(2), tracefs, and what /proc and /sys tell.

Everything here is synchronous but `in_worker`, which runs the rest off the event loop, and `kernel_btf`. Every new
descriptor is an `OwnedFd` from the moment the system call returns; a descriptor to use may be a number or anything with
``fileno()``. Nothing here knows an ELF file or a specification.
"""

from __future__ import annotations

from aiobpf.kernel.capabilities import Capability, kernel_release, privilege_error
from aiobpf.kernel.cpus import online_cpus, possible_cpus
from aiobpf.kernel.elements import UNSUPPORTED_ERRNOS, MapElements
from aiobpf.kernel.fd import FdLike, OwnedFd
from aiobpf.kernel.ids import (
    ObjectKind,
    all_ids,
    btf_by_id,
    fd_by_id,
    link_by_id,
    map_by_id,
    next_id,
    program_by_id,
)
from aiobpf.kernel.info import (
    BtfInfo,
    MapInfo,
    ProgramInfo,
    ProgramStats,
    btf_info,
    enable_stats,
    map_info,
    program_info,
    program_stats,
)
from aiobpf.kernel.link_info import LinkInfo, link_info
from aiobpf.kernel.links import (
    Attached,
    iter_create,
    link_create,
    link_detach,
    link_iter,
    link_kprobe_multi,
    link_netfilter,
    link_relative,
    link_update,
    link_uprobe_multi,
    prog_attach,
    prog_detach,
    prog_query,
    raw_tracepoint_open,
)
from aiobpf.kernel.maps import create_map, freeze_map
from aiobpf.kernel.memlock import raise_memlock_limit
from aiobpf.kernel.pins import open_pin, pin
from aiobpf.kernel.programs import bind_map, load_btf, load_program, log_text
from aiobpf.kernel.test_run import TestRun, test_run
from aiobpf.kernel.worker import close_in_worker, in_worker, worker_limiter

__all__ = [
    "UNSUPPORTED_ERRNOS",
    "Attached",
    "BtfInfo",
    "Capability",
    "FdLike",
    "LinkInfo",
    "MapElements",
    "MapInfo",
    "ObjectKind",
    "OwnedFd",
    "ProgramInfo",
    "ProgramStats",
    "TestRun",
    "all_ids",
    "bind_map",
    "btf_by_id",
    "btf_info",
    "close_in_worker",
    "create_map",
    "enable_stats",
    "fd_by_id",
    "freeze_map",
    "in_worker",
    "iter_create",
    "kernel_release",
    "link_by_id",
    "link_create",
    "link_detach",
    "link_info",
    "link_iter",
    "link_kprobe_multi",
    "link_netfilter",
    "link_relative",
    "link_update",
    "link_uprobe_multi",
    "load_btf",
    "load_program",
    "log_text",
    "map_by_id",
    "map_info",
    "next_id",
    "online_cpus",
    "open_pin",
    "pin",
    "possible_cpus",
    "privilege_error",
    "prog_attach",
    "prog_detach",
    "prog_query",
    "program_by_id",
    "program_info",
    "program_stats",
    "raise_memlock_limit",
    "raw_tracepoint_open",
    "test_run",
    "worker_limiter",
]
