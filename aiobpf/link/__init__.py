"""Where a program can hang, as data, and the Link that keeps it there.

``program.attach(Kprobe("vfs_read"))``, or by the program's section: both are the same data. docs/links.md says for each
kind what it needs and what survives.
"""

from aiobpf.link.cgroup import Cgroup, CgroupMode
from aiobpf.link.kprobe import Kprobe, Kretprobe
from aiobpf.link.link import Link
from aiobpf.link.perf_event import PerfEvent, SoftwareEvent
from aiobpf.link.probe_mode import ProbeMode
from aiobpf.link.raw_tracepoint import RawTracepoint
from aiobpf.link.registry import KINDS, Unattachable, kind_of
from aiobpf.link.tracepoint import Tracepoint
from aiobpf.link.tracing import Fentry, Fexit, TpBtf
from aiobpf.link.uprobe import Uprobe, Uretprobe
from aiobpf.link.xdp import Xdp, XdpMode

__all__ = [
    "KINDS",
    "Cgroup",
    "CgroupMode",
    "Fentry",
    "Fexit",
    "Kprobe",
    "Kretprobe",
    "Link",
    "PerfEvent",
    "ProbeMode",
    "RawTracepoint",
    "SoftwareEvent",
    "TpBtf",
    "Tracepoint",
    "Unattachable",
    "Uprobe",
    "Uretprobe",
    "Xdp",
    "XdpMode",
    "kind_of",
]
