"""What kernel tests need: ``@pytest.mark.requires("tcx")`` names rows of FEATURES."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from tests.kernel_probes import (
    BPF_GET_ATTACH_COOKIE,
    answers_for_sockmaps,
    cannot_print,
    counts_in_cgroups,
    has_attach_type,
    has_bpf_lsm,
    has_cgroup_flag,
    has_cgroup_hook,
    has_connection_tracking_functions,
    has_exclusive_maps,
    has_iterator,
    has_kernel_function,
    has_kprobe_links,
    has_map_flag,
    has_map_type,
    has_module_variable,
    has_modules_with_types,
    has_one_cpu_value,
    has_program_type,
    has_sockmap_hook,
    has_sockmap_links,
    has_struct_ops_links,
    has_tp_btf_links,
    has_trampolines,
    has_uprobe_sessions,
    has_user_rings,
    is_locked_down,
    knows_helper,
    lets_call,
    loads_tracing,
    makes_netkit,
    migrates_listeners,
    modules_are_not_loaded,
    option_is_off,
    perf_link_told,
    printing_gives,
    reads_program_output,
    refuses_trampolines,
    runs_live_frames,
    supports,
    takes_out_of_hashes,
    takes_xdp_fragments,
    tells_its_configuration,
    tells_netfilter_hooks,
    tells_of_variables,
    tells_types_of_modules,
    writes_to_user_memory,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@frozen
class Feature:
    """Something that a kernel may lack. *is_there* looks; *since* is the first version that has it.

    Where it is missing although the kernel is new enough, the test fails, unless *excuse* finds the reason: a
    configuration option that is off, or a machine that forbids it.
    """

    since: tuple[int, int]
    is_there: Callable[[], bool]
    excuse: Callable[[], str | None] = lambda: None


FEATURES = {
    "kprobes": Feature(
        (4, 17), Path("/sys/bus/event_source/devices/kprobe/type").exists, option_is_off("CONFIG_KPROBES")
    ),
    "uprobes": Feature(
        (4, 17), Path("/sys/bus/event_source/devices/uprobe/type").exists, option_is_off("CONFIG_UPROBES")
    ),
    "trampolines": Feature((5, 5), has_trampolines, refuses_trampolines),
    "BPF LSM": Feature((5, 7), has_bpf_lsm, refuses_trampolines),
    "sleepable file_open": Feature(
        (5, 11),
        lambda: loads_tracing("LSM", "LSM_MAC", "bpf_lsm_file_open", is_sleepable=True),
        refuses_trampolines,
    ),
    "lsm_cgroup": Feature(
        (6, 0), lambda: loads_tracing("LSM", "LSM_CGROUP", "bpf_lsm_socket_bind"), refuses_trampolines
    ),
    "fmod_ret on tests": Feature(
        (6, 3), lambda: loads_tracing("TRACING", "MODIFY_RETURN", "bpf_modify_return_test"), refuses_trampolines
    ),
    "fsession": Feature((7, 0), lambda: loads_tracing("TRACING", "TRACE_FSESSION", "vfs_read"), refuses_trampolines),
    "fentry.multi": Feature((7, 2), lambda: loads_tracing("TRACING", "TRACE_FENTRY_MULTI", ""), refuses_trampolines),
    "sleepable fentry": Feature(
        (7, 2),
        lambda: loads_tracing("TRACING", "TRACE_FENTRY", "__x64_sys_getpgid", is_sleepable=True),
        refuses_trampolines,
    ),
    "atomics": Feature((5, 12), lambda: supports("ATOMICS")),
    "callbacks": Feature((5, 13), lambda: knows_helper(164)),  # bpf_for_each_map_elem
    "timers": Feature((5, 15), lambda: knows_helper(169)),  # bpf_timer_init
    "bounded loops": Feature((5, 17), lambda: knows_helper(181)),  # bpf_loop; bpf_strncmp came with it
    "task storage": Feature((5, 11), lambda: has_map_type("TASK_STORAGE")),
    "inode storage": Feature((5, 10), lambda: has_map_type("INODE_STORAGE")),
    "dynptrs": Feature((5, 19), lambda: knows_helper(198)),  # bpf_ringbuf_reserve_dynptr
    "packet dynptrs": Feature((6, 4), lambda: has_kernel_function("bpf_dynptr_from_skb")),
    "cgroup local storage": Feature((6, 2), lambda: has_map_type("CGRP_STORAGE")),
    "exclusive maps": Feature((6, 18), has_exclusive_maps),
    "instruction arrays": Feature((6, 19), lambda: has_map_type("INSN_ARRAY")),
    "overwriting rings": Feature((6, 19), lambda: has_map_flag("RB_OVERWRITE")),
    "resizable hashes": Feature((7, 2), lambda: has_map_type("RHASH")),
    "bloom filters": Feature((5, 16), lambda: has_map_type("BLOOM_FILTER")),
    "lookup and delete": Feature((5, 14), takes_out_of_hashes),
    "syscall programs": Feature((5, 14), lambda: has_program_type("SYSCALL")),
    "perf links": Feature((5, 15), lambda: supports("PERF_LINK")),
    "cookies": Feature((5, 15), lambda: supports("BPF_COOKIE")),
    "loops": Feature((5, 17), lambda: knows_helper(181)),  # bpf_loop
    "tp_btf links": Feature((5, 18), has_tp_btf_links),
    "fentry cookies": Feature(
        (5, 19), lambda: lets_call("TRACING", BPF_GET_ATTACH_COOKIE, "TRACE_FENTRY", "vfs_read"), refuses_trampolines
    ),
    "task kfuncs": Feature((6, 2), lambda: has_kernel_function("bpf_task_from_pid")),
    "struct_ops links": Feature((6, 4), has_struct_ops_links, option_is_off("CONFIG_BPF_JIT")),
    "sched_ext": Feature((6, 12), Path("/sys/kernel/sched_ext").exists, option_is_off("CONFIG_SCHED_CLASS_EXT")),
    "arenas": Feature((6, 9), lambda: has_map_type("ARENA")),
    "netfilter programs": Feature(
        (6, 4), lambda: has_program_type("NETFILTER"), option_is_off("CONFIG_NETFILTER_BPF_LINK")
    ),
    "tcx": Feature((6, 6), lambda: has_attach_type("TCX_INGRESS")),
    "cgroup unix hooks": Feature((6, 7), lambda: has_cgroup_hook("CGROUP_UNIX_CONNECT")),
    "cgroup anchors": Feature((6, 17), lambda: has_cgroup_flag(1 << 3)),  # BPF_F_BEFORE
    "cgroup preorder": Feature((6, 15), lambda: has_cgroup_flag(1 << 6)),
    "sockmap queries": Feature((5, 16), answers_for_sockmaps),
    "sockmap links": Feature((6, 10), has_sockmap_links),
    "sk_skb verdicts": Feature((5, 13), lambda: has_sockmap_hook("SK_SKB_VERDICT")),
    "listener migration": Feature((5, 14), migrates_listeners),
    "infrared": Feature((4, 18), lambda: has_program_type("LIRC_MODE2"), option_is_off("CONFIG_BPF_LIRC_MODE2")),
    "netfilter hooks": Feature((6, 4), tells_netfilter_hooks, option_is_off("CONFIG_NETFILTER_NETLINK_HOOK")),
    "netkit": Feature((6, 7), makes_netkit, option_is_off("CONFIG_NETKIT")),
    "kprobe.multi": Feature(
        (5, 18), lambda: has_kprobe_links("TRACE_KPROBE_MULTI"), option_is_off("CONFIG_FPROBE", "CONFIG_KPROBES")
    ),
    "kprobe.session": Feature(
        (6, 10), lambda: has_kprobe_links("TRACE_KPROBE_SESSION"), option_is_off("CONFIG_FPROBE", "CONFIG_KPROBES")
    ),
    "uprobe.multi": Feature((6, 6), lambda: supports("UPROBE_MULTI")),
    "perf events of cgroups": Feature((0, 0), counts_in_cgroups, lambda: "its cgroups have no perf_event controller"),
    "uprobe.session": Feature((6, 13), has_uprobe_sessions),
    "v4 instructions": Feature((6, 6), lambda: supports("ISA_V4")),
    "perf link infos": Feature((6, 6), lambda: perf_link_told()[0] is not None),
    "arg:ctx tags": Feature((6, 8), lambda: supports("ARG_CTX_TAG")),
    "tokens": Feature((6, 9), lambda: supports("TOKEN"), option_is_off("CONFIG_USER_NS")),
    "may_goto": Feature((6, 9), lambda: supports("MAY_GOTO")),
    "perf link cookies": Feature((6, 9), lambda: perf_link_told()[1] == 5),
    "raw tracepoint cookies": Feature((6, 10), lambda: lets_call("RAW_TRACEPOINT", BPF_GET_ATTACH_COOKIE)),
    "modules with distilled types": Feature((6, 11), has_modules_with_types, lambda: "this kernel has no modules here"),
    "load-acquire": Feature((6, 15), lambda: supports("LOAD_ACQUIRE")),
    "one CPU's value": Feature((7, 0), has_one_cpu_value),
    "work queues": Feature((6, 10), lambda: has_kernel_function("bpf_wq_init")),
    "XDP in fragments": Feature((5, 18), takes_xdp_fragments),
    "writes to user memory": Feature((4, 8), writes_to_user_memory, is_locked_down),
    "exceptions": Feature((6, 7), lambda: has_kernel_function("bpf_throw")),
    "open-coded iterators": Feature((6, 4), lambda: has_kernel_function("bpf_iter_num_new")),
    "program output": Feature((6, 17), reads_program_output),
    "program streams": Feature((6, 17), lambda: reads_program_output() and printing_gives() >= 0, cannot_print),
    "live frames": Feature((5, 18), runs_live_frames),
    "veth as a module": Feature((0, 0), Path("/sys/module/veth/initstate").exists, lambda: "not loaded, or built in"),
    "modules": Feature((5, 11), tells_types_of_modules, modules_are_not_loaded),
    "a module's variable": Feature((6, 12), has_module_variable, lambda: "no x_tables, or built in"),
    "connection tracking kfuncs": Feature((6, 2), has_connection_tracking_functions),
    "iterators of mappings": Feature((5, 12), lambda: has_iterator("task_vma")),
    "iterators of symbols": Feature((6, 0), lambda: has_iterator("ksym")),
    "iterators of cgroups": Feature((6, 1), lambda: has_iterator("cgroup")),
    "iterators of one task": Feature((6, 1), lambda: has_iterator("cgroup")),  # both came with 6.1
    "user ring buffers": Feature((6, 1), has_user_rings),
    "kernel variables": Feature((0, 0), tells_of_variables, lambda: "they need CONFIG_KALLSYMS_ALL and a newer pahole"),
    "kernel configuration": Feature((0, 0), tells_its_configuration, lambda: "no configuration file is installed"),
}


# AIOBPF_TEST_REQUIRE=root,kprobes: what this machine is known to have, so that its absence is a failure, never a skip.
KNOWN_TO_BE_HERE = frozenset(os.environ.get("AIOBPF_TEST_REQUIRE", "").split(","))


def why_not_here(name: str) -> str | None:
    """None where this kernel has the feature *name*, else since when or why not; fails where it should have it."""
    from aiobpf.kernel.release import kernel_release

    feature = FEATURES[name]
    if feature.is_there():
        return None
    assert name not in KNOWN_TO_BE_HERE, f"this machine is known to have {name} and has not"
    since = f"since {feature.since[0]}.{feature.since[1]}"
    if kernel_release() < feature.since:
        return since
    reason = feature.excuse()
    if reason is None:
        pytest.fail(f"this kernel should have {name} ({since}) and has not")
    return reason


def kernel_has(name: str) -> bool:
    """For a test that has something to see on kernels with the feature and on those without."""
    return why_not_here(name) is None
