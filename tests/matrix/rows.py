"""The yardstick: what a C program over libbpf was seen to do on each kernel at hand, so what aiobpf must do there too.

A test that shows the effect of a row carries ``@pytest.mark.shows("row")``. Where the kernel under test is named in the
row, and every such test is skipped, the run fails (tests/conftest.py).
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

MACHINE = "6.18.44"
"""A kernel without kprobes, which refuses trampolines: this project's machine. The others are Debian's, in QEMU."""

KERNELS = (MACHINE, "5.10", "6.1", "6.12", "6.18", "7.3")

_SEEN = """
btf_load             all
map_types            all
tp_ringbuf           all
tp_sched             all
raw_tp               all
raw_tp_writable      all
tp_btf               all
tp_btf_task          all
fentry               6.1 6.12 6.18 7.3
fentry_noip          5.10 6.1 6.12 6.18 7.3
fexit                5.10 6.1 6.12 6.18 7.3
fexit_args           5.10 6.1 6.12 6.18 7.3
fentry_sleepable     7.3
fentry_module        6.1 6.12 6.18 7.3
fentry_on_bpf_prog   5.10 6.1 6.12 6.18 7.3
fsession             7.3
fentry_multi         7.3
fmod_ret_test        6.12 6.18 7.3
fmod_ret_security    5.10 6.1 6.12 6.18 7.3
lsm                  5.10 6.1 6.12 6.18 7.3
lsm_sleepable        5.10 6.1 6.12 6.18 7.3
lsm_copy_from_user   6.1 6.12 6.18 7.3
lsm_cgroup           6.1 6.12 6.18 7.3
kprobe_perf          5.10 6.1 6.12 6.18 7.3
kprobe_legacy        5.10 6.1 6.12 6.18 7.3
kretprobe            5.10 6.1 6.12 6.18 7.3
kprobe_module        5.10 6.1 6.12 6.18 7.3
ksyscall             5.10 6.1 6.12 6.18 7.3
kprobe_multi         6.12 6.18 7.3
kretprobe_multi      6.12 6.18 7.3
kprobe_session       6.12 6.18 7.3
uprobe_perf          6.18.44 6.1 6.12 6.18 7.3
uprobe_pmu_ioctl     all
uprobe_legacy        all
uretprobe            all
uprobe_libc          all
uprobe_multi         6.18.44 6.12 6.18 7.3
uprobe_session       6.18.44 6.18 7.3
usdt_own             all
usdt_python          all
usdt_libstdcxx       6.18.44 6.1 6.12 6.18 7.3
perf_cpu_clock       all
perf_task_clock      all
perf_page_faults     all
perf_hw_cycles
perf_event_array     all
stack_trace          all
netns_veth           all
xdp_native           all
xdp_generic          all
xdp_frags            6.18.44 6.1 6.12 6.18 7.3
xdp_link             all
xdp_devmap_prog      all
xdp_cpumap_prog      all
af_xdp_copy          all
tc_clsact            all
tcx                  6.18.44 6.12 6.18 7.3
netkit               6.12 6.18 7.3
lwt_xmit             all
cgroup_skb_egress    all
cgroup_skb_ingress   all
cgroup_sock_create   all
cgroup_connect4      all
cgroup_bind4         all
cgroup_sendmsg4      all
cgroup_getpeername4  all
cgroup_connect_unix  6.18.44 6.12 6.18 7.3
sockops              all
cgroup_getsockopt    all
cgroup_setsockopt    all
cgroup_sysctl        all
cgroup_device        all
cgroup_multi_link    all
link_update          all
sk_lookup            all
socket_filter        all
sk_reuseport         all
sk_msg               all
sk_skb               all
sockmap_link         6.18.44 6.12 6.18 7.3
flow_dissector       all
netfilter_link       6.18.44 6.12 6.18 7.3
struct_ops_tcpcc     all
struct_ops_link      6.18.44 6.12 6.18 7.3
sched_ext            6.18 7.3
iter_task            all
iter_bpf_map         all
iter_bpf_prog        all
iter_map_elem        all
iter_tcp             all
iter_task_vma        6.18.44 6.1 6.12 6.18 7.3
iter_ksym            6.18.44 6.1 6.12 6.18 7.3
iter_cgroup          6.18.44 6.1 6.12 6.18 7.3
freplace             5.10 6.1 6.12 6.18 7.3
syscall_prog         6.18.44 6.1 6.12 6.18 7.3
user_ringbuf         6.18.44 6.1 6.12 6.18 7.3
arena                6.18.44 6.12 6.18 7.3
bloom                6.18.44 6.1 6.12 6.18
bloom_mapvalue       6.18.44 6.1 6.12 6.18 7.3
task_storage         6.18.44 6.1 6.12 6.18 7.3
inode_storage        5.10 6.1 6.12 6.18 7.3
sk_storage           all
cgrp_storage         6.18.44 6.12 6.18 7.3
cgroup_storage       all
timer                6.18.44 6.1 6.12 6.18 7.3
wq                   6.18.44 6.12 6.18 7.3
kptr                 6.18.44 6.12 6.18 7.3
kfunc                6.18.44 6.12 6.18 7.3
kfunc_iter_num       6.18.44 6.12 6.18 7.3
exceptions           6.18.44 6.12 6.18 7.3
streams              6.18 7.3
dynptr_ringbuf       6.18.44 6.1 6.12 6.18 7.3
dynptr_skb           6.18.44 6.12 6.18 7.3
probe_read_kernel    all
probe_read_user_str  all
probe_write_user     5.10 6.1 6.12 6.18 7.3
printk               all
send_signal          all
run_xdp              all
run_xdp_live         6.18.44 6.1 6.12 6.18 7.3
run_skb              all
run_raw_tp           all
run_flow             all
run_sk_lookup        all
run_netfilter        6.18.44 6.12 6.18 7.3
stats                all
mmapable             all
tailcall             all
map_in_map           all
bpf_loop             6.18.44 6.1 6.12 6.18 7.3
for_each_map_elem    6.18.44 6.1 6.12 6.18 7.3
spin_lock            all
atomics_v3           6.18.44 6.1 6.12 6.18 7.3
batch_ops            all
pin                  all
task_fd_query        all
token                6.18.44 6.12 6.18 7.3
"""

YARDSTICK: dict[str, frozenset[str]] = {
    row: frozenset(KERNELS if kernels == ["all"] else kernels)
    for row, *kernels in (line.split() for line in _SEEN.strip().splitlines())
}
"""The kernels that must show each row's effect; a row of no kernel is one whose refusal is named."""


@functools.cache
def kernel_under_test() -> str | None:
    """The name in KERNELS of the running kernel, None for another."""
    told = os.environ.get("AIOBPF_TEST_KERNEL")
    if told is not None:
        return told
    has_kprobes = Path("/sys/bus/event_source/devices/kprobe").exists()
    return MACHINE if os.uname().release.startswith(MACHINE) and not has_kprobes else None


def must_show(row: str) -> bool:
    """Whether the running kernel is known to show it."""
    return kernel_under_test() in YARDSTICK[row]
