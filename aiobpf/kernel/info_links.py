"""What the kernel tells of a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.kernel.info import read_info
from aiobpf.kernel.layout import Layout
from aiobpf.uapi import LinkType

if TYPE_CHECKING:
    from aiobpf.kernel.fd import FdLike

_HEAD = "type:I id:I prog_id:I"
_PLAIN = Layout(_HEAD)
# Alternatives of the union that begin with 4 bytes must not be aligned to 8: the union itself is.
_RAW_TRACEPOINT = Layout(f"{_HEAD} name:P name_len:I cookie:Q")
_TRACING = Layout(f"{_HEAD} pad:I attach_type:I target_obj_id:I target_btf_id:I cookie:Q")
_CGROUP = Layout(f"{_HEAD} cgroup_id:Q attach_type:I")
_ITER = Layout(f"{_HEAD} name:P name_len:I map_id:I")
_TWO = Layout(f"{_HEAD} pad:I first:I second:I")
_NETFILTER = Layout(f"{_HEAD} pad:I pf:I hooknum:I priority:i flags:I")
_KPROBE_MULTI = Layout(f"{_HEAD} addrs:P count:I flags:I missed:Q cookies:P")
_UPROBE_MULTI = Layout(f"{_HEAD} path:P offsets:P semaphores:P cookies:P path_size:I count:I flags:I pid:I")
_PERF_EVENT = Layout(f"{_HEAD} pad:I kind:I name:P name_len:I offset:I address:Q missed:Q cookie:Q")
_PERF_UPROBE = Layout(f"{_HEAD} pad:I kind:I name:P name_len:I offset:I cookie:Q semaphore:Q")
_PERF_TRACEPOINT = Layout(f"{_HEAD} pad:I kind:I name:P name_len:I cookie:Q")
_PERF_OTHER = Layout(f"{_HEAD} pad:I kind:I config:Q event_type:I cookie:Q")

_UPROBE, _URETPROBE, _KPROBE, _KRETPROBE, _TRACEPOINT, _EVENT = range(1, 7)  # enum bpf_perf_event_type
_PERF_KINDS = {
    _UPROBE: "uprobe",
    _URETPROBE: "uretprobe",
    _KPROBE: "kprobe",
    _KRETPROBE: "kretprobe",
    _TRACEPOINT: "tracepoint",
    _EVENT: "event",
}
_NAME_BYTES = 4096


@frozen(kw_only=True)
class LinkInfo:
    """struct bpf_link_info; a field that the kind of link does not have is None."""

    type: int
    """A `LinkType`, or a number that this release does not know."""
    id: int
    program_id: int
    """0 for a struct_ops link."""
    attach_type: int | None = None
    name: str | None = None
    """The tracepoint, the kernel function, the probed file or the iterator's target."""
    event: str | None = None
    """For a perf event: uprobe, uretprobe, kprobe, kretprobe, tracepoint or event (6.6)."""
    offset: int | None = None
    address: int | None = None
    cookie: int | None = None
    count: int | None = None
    missed: int | None = None
    pid: int | None = None
    ifindex: int | None = None
    """0 once the interface is gone: the link is defunct."""
    cgroup_id: int | None = None
    netns_inode: int | None = None
    map_id: int | None = None
    target_object_id: int | None = None
    """The program or BTF object that a tracing link hangs on."""
    target_btf_id: int | None = None
    family: int | None = None
    hook: int | None = None
    priority: int | None = None


def link_info(link: FdLike, *, subject: str = "link") -> LinkInfo:
    """What the kernel says of a link (5.8)."""
    head = read_info(link, _PLAIN, subject=subject)
    kind, number, program = head["type"], head["id"], head["prog_id"]
    buffer = bytearray(_NAME_BYTES)

    def name() -> str:
        return bytes(buffer).split(b"\0", 1)[0].decode(errors="replace")

    if kind == LinkType.RAW_TRACEPOINT:
        info = read_info(link, _RAW_TRACEPOINT, subject=subject, name=buffer, name_len=len(buffer))
        return LinkInfo(type=kind, id=number, program_id=program, name=name(), cookie=info["cookie"])
    if kind == LinkType.TRACING:
        info = read_info(link, _TRACING, subject=subject)
        return LinkInfo(
            type=kind,
            id=number,
            program_id=program,
            attach_type=info["attach_type"],
            target_object_id=info["target_obj_id"],
            target_btf_id=info["target_btf_id"],
            cookie=info["cookie"],
        )
    if kind == LinkType.CGROUP:
        info = read_info(link, _CGROUP, subject=subject)
        return LinkInfo(
            type=kind, id=number, program_id=program, cgroup_id=info["cgroup_id"], attach_type=info["attach_type"]
        )
    if kind == LinkType.ITER:
        info = read_info(link, _ITER, subject=subject, name=buffer, name_len=len(buffer))
        return LinkInfo(type=kind, id=number, program_id=program, name=name(), map_id=info["map_id"])
    if kind == LinkType.NETFILTER:
        info = read_info(link, _NETFILTER, subject=subject)
        return LinkInfo(
            type=kind,
            id=number,
            program_id=program,
            family=info["pf"],
            hook=info["hooknum"],
            priority=info["priority"],
        )
    if kind == LinkType.KPROBE_MULTI:
        info = read_info(link, _KPROBE_MULTI, subject=subject)
        return LinkInfo(type=kind, id=number, program_id=program, count=info["count"], missed=info["missed"])
    if kind == LinkType.UPROBE_MULTI:
        info = read_info(link, _UPROBE_MULTI, subject=subject, path=buffer, path_size=len(buffer))
        return LinkInfo(type=kind, id=number, program_id=program, name=name(), count=info["count"], pid=info["pid"])
    if kind == LinkType.PERF_EVENT:
        return _perf_event(link, number, program, subject)
    info = read_info(link, _TWO, subject=subject)
    first, second = info["first"], info["second"]
    if kind == LinkType.XDP:
        return LinkInfo(type=kind, id=number, program_id=program, ifindex=first)
    if kind in {LinkType.TCX, LinkType.NETKIT}:
        return LinkInfo(type=kind, id=number, program_id=program, ifindex=first, attach_type=second)
    if kind == LinkType.NETNS:
        return LinkInfo(type=kind, id=number, program_id=program, netns_inode=first, attach_type=second)
    if kind == LinkType.STRUCT_OPS:
        return LinkInfo(type=kind, id=number, program_id=program, map_id=first)
    if kind == LinkType.SOCKMAP:
        return LinkInfo(type=kind, id=number, program_id=program, map_id=first, attach_type=second)
    return LinkInfo(type=kind, id=number, program_id=program)


def _perf_event(link: FdLike, number: int, program: int, subject: str) -> LinkInfo:
    kind = LinkType.PERF_EVENT
    event = read_info(link, _PERF_OTHER, subject=subject)["kind"]
    buffer = bytearray(_NAME_BYTES)
    layouts = {
        _UPROBE: _PERF_UPROBE,
        _URETPROBE: _PERF_UPROBE,
        _KPROBE: _PERF_EVENT,
        _KRETPROBE: _PERF_EVENT,
        _TRACEPOINT: _PERF_TRACEPOINT,
    }
    layout = layouts.get(event)
    if layout is None:  # a plain event, or a kernel before 6.6, which tells nothing
        info = read_info(link, _PERF_OTHER, subject=subject)
        return LinkInfo(type=kind, id=number, program_id=program, event=_PERF_KINDS.get(event), cookie=info["cookie"])
    info = read_info(link, layout, subject=subject, name=buffer, name_len=len(buffer))
    return LinkInfo(
        type=kind,
        id=number,
        program_id=program,
        event=_PERF_KINDS[event],
        name=bytes(buffer).split(b"\0", 1)[0].decode(errors="replace"),
        cookie=info["cookie"],
        offset=None if layout is _PERF_TRACEPOINT else info["offset"],
        address=info["address"] if layout is _PERF_EVENT else None,
        missed=info["missed"] if layout is _PERF_EVENT else None,
    )
