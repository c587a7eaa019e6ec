"""From a program's section name to the place where it hangs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from aiobpf.errors import SpecError
from aiobpf.spec.sections import parse_section
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiobpf.link.link import Link
    from aiobpf.runtime.attach import AttachKind, MapAttachKind
    from aiobpf.runtime.program import Program
    from aiobpf.spec import MapSpec, ProgramSpec

MAP_KINDS: Final[Mapping[MapType, tuple[str, str]]] = {MapType.STRUCT_OPS: ("struct_ops", "StructOps")}
"""The module and class of the kind that a map of that type attaches by."""

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "cgroup": ("cgroup", "Cgroup"),
    "fentry": ("tracing", "Fentry"),
    "fentry.multi": ("tracing_multi", "FentryMulti"),
    "fexit": ("tracing", "Fexit"),
    "fexit.multi": ("tracing_multi", "FexitMulti"),
    "flow_dissector": ("netns", "FlowDissector"),
    "fmod_ret": ("tracing", "FmodRet"),
    "freplace": ("tracing", "Freplace"),
    "iter": ("iterator", "Iter"),
    "fsession": ("tracing", "Fsession"),
    "fsession.multi": ("tracing_multi", "FsessionMulti"),
    "kprobe": ("kprobe", "Kprobe"),
    "kprobe.multi": ("kprobe_multi", "KprobeMulti"),
    "kprobe.session": ("kprobe_multi", "KprobeSession"),
    "kretprobe": ("kprobe", "Kretprobe"),
    "kretprobe.multi": ("kprobe_multi", "KretprobeMulti"),
    "kretsyscall": ("ksyscall", "Kretsyscall"),
    "ksyscall": ("ksyscall", "Ksyscall"),
    "lirc_mode2": ("lirc", "Lirc"),
    "lwt": ("lwt", "Lwt"),
    "netfilter": ("netfilter", "Netfilter"),
    "netkit": ("netkit", "Netkit"),
    "lsm": ("lsm", "Lsm"),
    "lsm_cgroup": ("lsm", "LsmCgroup"),
    "perf_event": ("perf_event", "PerfEvent"),
    "raw_tracepoint": ("raw_tracepoint", "RawTracepoint"),
    "sk_lookup": ("netns", "SkLookup"),
    "sk_reuseport": ("socket_program", "SkReuseport"),
    "socket": ("socket_program", "SocketFilter"),
    "sockmap": ("sockmap", "Sockmap"),
    "tc": ("tc", "Tc"),
    "tcx": ("tcx", "Tcx"),
    "tp_btf": ("tracing", "TpBtf"),
    "tracepoint": ("tracepoint", "Tracepoint"),
    "uprobe": ("uprobe", "Uprobe"),
    "uprobe.multi": ("uprobe_multi", "UprobeMulti"),
    "uprobe.session": ("uprobe_multi", "UprobeSession"),
    "uretprobe": ("uprobe", "Uretprobe"),
    "uretprobe.multi": ("uprobe_multi", "UretprobeMulti"),
    "usdt": ("usdt", "Usdt"),
    "xdp": ("xdp", "Xdp"),
}
"""The module and class whose ``parse`` reads a section of each kind (the `kind` column of `aiobpf.spec.sections`).

By name, so that a collection imports the kinds that its programs have: all together take 30 ms."""


@frozen
class Unattachable:
    """The place of a program whose section cannot be attached: attaching it raises what is wrong.

    A program with such a section still loads: attached by hand (``program.attach(Kprobe("vfs_read"))``) it is fine.
    """

    error: Exception

    async def attach_program(self, program: Program) -> Link:
        """Raises the SpecError."""
        raise type(self.error)(f"program {program.name!r}: {self.error}") from self.error


def kind_of_map(spec: MapSpec) -> MapAttachKind[Any] | None:
    """Where a map of *spec*'s type hangs: `StructOps`, or None for all others."""
    place = MAP_KINDS.get(spec.type)
    if place is None:
        return None
    kind: MapAttachKind[Any] = getattr(import_module(f"aiobpf.link.{place[0]}"), place[1])()
    return kind


def kind_of(spec: ProgramSpec) -> AttachKind[Any] | None:
    """Where *spec*'s section says that the program hangs, None where it does not say.

    Never raises: a malformed section gives an `Unattachable`.
    """
    kind = parse_section(spec.section).kind
    place = KINDS.get(kind)
    if place is None:
        return None
    module, name = place
    parse: Callable[[ProgramSpec], AttachKind[Any] | None] = getattr(import_module(f"aiobpf.link.{module}"), name).parse
    try:
        return parse(spec)
    except (SpecError, ValueError) as error:  # ValueError: a validator of the kind
        return Unattachable(error if isinstance(error, SpecError) else SpecError(f"section {spec.section!r}: {error}"))
