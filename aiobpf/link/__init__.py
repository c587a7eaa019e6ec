"""Where a program can hang, as data, and the Link that keeps it there.

``program.attach(Kprobe("vfs_read"))``, or by the program's section: both are the same data. docs/links.md says for each
kind what it needs and what survives. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.lazy_names import lazy_names

if TYPE_CHECKING:
    from aiobpf.link.anchor import After as After
    from aiobpf.link.anchor import Anchor as Anchor
    from aiobpf.link.anchor import Before as Before
    from aiobpf.link.anchor import First as First
    from aiobpf.link.anchor import Last as Last
    from aiobpf.link.anchor import Replace as Replace
    from aiobpf.link.cgroup import Cgroup as Cgroup
    from aiobpf.link.cgroup import CgroupMode as CgroupMode
    from aiobpf.link.direction import Direction as Direction
    from aiobpf.link.iterator import CgroupOrder as CgroupOrder
    from aiobpf.link.iterator import Iter as Iter
    from aiobpf.link.kprobe import Kprobe as Kprobe
    from aiobpf.link.kprobe import Kretprobe as Kretprobe
    from aiobpf.link.kprobe_multi import KprobeMulti as KprobeMulti
    from aiobpf.link.kprobe_multi import KprobeSession as KprobeSession
    from aiobpf.link.kprobe_multi import KretprobeMulti as KretprobeMulti
    from aiobpf.link.ksyscall import Kretsyscall as Kretsyscall
    from aiobpf.link.ksyscall import Ksyscall as Ksyscall
    from aiobpf.link.link import Link as Link
    from aiobpf.link.lirc import Lirc as Lirc
    from aiobpf.link.lsm import Lsm as Lsm
    from aiobpf.link.lsm import LsmCgroup as LsmCgroup
    from aiobpf.link.lwt import Lwt as Lwt
    from aiobpf.link.multi_mode import MultiMode as MultiMode
    from aiobpf.link.netfilter import Netfilter as Netfilter
    from aiobpf.link.netfilter import NetfilterFamily as NetfilterFamily
    from aiobpf.link.netfilter import NetfilterHook as NetfilterHook
    from aiobpf.link.netkit import Netkit as Netkit
    from aiobpf.link.netkit import NetkitEnd as NetkitEnd
    from aiobpf.link.netns import FlowDissector as FlowDissector
    from aiobpf.link.netns import SkLookup as SkLookup
    from aiobpf.link.perf_event import PerfEvent as PerfEvent
    from aiobpf.link.perf_event_kinds import Breakpoint as Breakpoint
    from aiobpf.link.perf_event_kinds import CacheEvent as CacheEvent
    from aiobpf.link.perf_event_kinds import HardwareEvent as HardwareEvent
    from aiobpf.link.perf_event_kinds import PmuEvent as PmuEvent
    from aiobpf.link.perf_event_kinds import RawEvent as RawEvent
    from aiobpf.link.perf_event_kinds import SoftwareEvent as SoftwareEvent
    from aiobpf.link.probe_mode import ProbeMode as ProbeMode
    from aiobpf.link.queried import QueriedProgram as QueriedProgram
    from aiobpf.link.queried import query as query
    from aiobpf.link.raw_tracepoint import RawTracepoint as RawTracepoint
    from aiobpf.link.registry import KINDS as KINDS
    from aiobpf.link.registry import Unattachable as Unattachable
    from aiobpf.link.registry import kind_of as kind_of
    from aiobpf.link.registry import kind_of_map as kind_of_map
    from aiobpf.link.socket_program import SkReuseport as SkReuseport
    from aiobpf.link.socket_program import SocketFilter as SocketFilter
    from aiobpf.link.sockmap import Sockmap as Sockmap
    from aiobpf.link.sockmap import SockmapMode as SockmapMode
    from aiobpf.link.struct_ops import StructOps as StructOps
    from aiobpf.link.tc import Tc as Tc
    from aiobpf.link.tcx import Tcx as Tcx
    from aiobpf.link.tracepoint import Tracepoint as Tracepoint
    from aiobpf.link.tracing import Fentry as Fentry
    from aiobpf.link.tracing import Fexit as Fexit
    from aiobpf.link.tracing import FmodRet as FmodRet
    from aiobpf.link.tracing import Freplace as Freplace
    from aiobpf.link.tracing import Fsession as Fsession
    from aiobpf.link.tracing import TpBtf as TpBtf
    from aiobpf.link.tracing_multi import FentryMulti as FentryMulti
    from aiobpf.link.tracing_multi import FexitMulti as FexitMulti
    from aiobpf.link.tracing_multi import FsessionMulti as FsessionMulti
    from aiobpf.link.uprobe import Uprobe as Uprobe
    from aiobpf.link.uprobe import Uretprobe as Uretprobe
    from aiobpf.link.uprobe_multi import UprobeMulti as UprobeMulti
    from aiobpf.link.uprobe_multi import UprobeSession as UprobeSession
    from aiobpf.link.uprobe_multi import UretprobeMulti as UretprobeMulti
    from aiobpf.link.usdt import Usdt as Usdt
    from aiobpf.link.usdt_sites import UsdtSite as UsdtSite
    from aiobpf.link.usdt_sites import usdt_probes as usdt_probes
    from aiobpf.link.xdp import Xdp as Xdp
    from aiobpf.link.xdp import XdpMode as XdpMode

_HOMES = {
    "anchor": "After Anchor Before First Last Replace",
    "cgroup": "Cgroup CgroupMode",
    "direction": "Direction",
    "iterator": "CgroupOrder Iter",
    "kprobe": "Kprobe Kretprobe",
    "kprobe_multi": "KprobeMulti KprobeSession KretprobeMulti",
    "ksyscall": "Kretsyscall Ksyscall",
    "lsm": "Lsm LsmCgroup",
    "multi_mode": "MultiMode",
    "link": "Link",
    "lirc": "Lirc",
    "lwt": "Lwt",
    "netfilter": "Netfilter NetfilterFamily NetfilterHook",
    "netkit": "Netkit NetkitEnd",
    "netns": "FlowDissector SkLookup",
    "perf_event": "PerfEvent",
    "perf_event_kinds": "Breakpoint CacheEvent HardwareEvent PmuEvent RawEvent SoftwareEvent",
    "probe_mode": "ProbeMode",
    "queried": "QueriedProgram query",
    "raw_tracepoint": "RawTracepoint",
    "registry": "KINDS Unattachable kind_of kind_of_map",
    "socket_program": "SkReuseport SocketFilter",
    "sockmap": "Sockmap SockmapMode",
    "struct_ops": "StructOps",
    "tc": "Tc",
    "tcx": "Tcx",
    "tracepoint": "Tracepoint",
    "tracing": "Fentry Fexit FmodRet Freplace Fsession TpBtf",
    "tracing_multi": "FentryMulti FexitMulti FsessionMulti",
    "uprobe": "Uprobe Uretprobe",
    "uprobe_multi": "UprobeMulti UprobeSession UretprobeMulti",
    "usdt": "Usdt",
    "usdt_sites": "UsdtSite usdt_probes",
    "xdp": "Xdp XdpMode",
}

__all__ = sorted(" ".join(_HOMES.values()).split())  # noqa: PLE0605 - one list, above
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
