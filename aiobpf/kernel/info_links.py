"""What the kernel tells of a link."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aiobpf.errors import KernelError
from aiobpf.kernel.info import read_info
from aiobpf.kernel.layout import Layout
from aiobpf.uapi import LinkType
from aiobpf.uapi.newer import member

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.kernel.fd import FdLike
    from aiobpf.kernel.layout import Record

_HEAD = "type:I id:I prog_id:I"
_PLAIN = Layout(_HEAD)
# Alternatives of the union that begin with 4 bytes must not be aligned to 8: the union itself is.
_RAW_TRACEPOINT = Layout(f"{_HEAD} name:P name_len:I cookie:Q")
_TRACING = Layout(f"{_HEAD} pad:I attach_type:I target_obj_id:I target_btf_id:I cookie:Q")
_CGROUP = Layout(f"{_HEAD} cgroup_id:Q attach_type:I")
_ITER = Layout(f"{_HEAD} name:P name_len:I map_id:I cgroup_id:Q order:I")
_ITER_TASK = Layout(f"{_HEAD} name:P name_len:I map_id:I tid:I pid:I")
_TWO = Layout(f"{_HEAD} pad:I first:I second:I")
_NETFILTER = Layout(f"{_HEAD} pad:I pf:I hooknum:I priority:i flags:I")
_KPROBE_MULTI = Layout(f"{_HEAD} addresses:P count:I flags:I missed:Q cookies:P")
_UPROBE_MULTI = Layout(f"{_HEAD} path:P offsets:P semaphores:P cookies:P path_size:I count:I flags:I pid:I")
_TRACING_MULTI = Layout(f"{_HEAD} pad:I attach_type:I count:I btf_obj_id:I ids:P addresses:P cookies:P")
_PERF_KPROBE = Layout(f"{_HEAD} pad:I kind:I name:P name_len:I offset:I address:Q missed:Q cookie:Q")
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
_MULTI_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN and BPF_F_UPROBE_MULTI_RETURN


@frozen(kw_only=True)
class LinkInfo:
    """struct bpf_link_info; a field that the kind of link does not have is None, or empty where it is of many.

    A kernel that is older than a field says 0 of it, or nothing.
    """

    type: LinkType
    """One that this release does not know is a member of its own, called by its number."""
    id: int
    program_id: int
    """0 for a struct_ops link."""
    attach_type: int | None = None
    """An `AttachType`: tracing, cgroup, netns, tcx, netkit, sockmap and tracing_multi links."""
    name: str | None = None
    """The tracepoint, the kernel function, the probed file or the iterator's target."""
    event: str | None = None
    """For a perf event: uprobe, uretprobe, kprobe, kretprobe, tracepoint or event (6.6)."""
    event_type: int | None = None
    """perf_event_attr.type of a plain perf event."""
    config: int | None = None
    """perf_event_attr.config of a plain perf event."""
    offset: int | None = None
    """Bytes into the function of a kprobe, or into the file of a uprobe."""
    address: int | None = None
    """Of a kprobe; 0 for who may not see kernel addresses."""
    semaphore: int | None = None
    """Bytes into the file of a uprobe to the counter of its users (ref_ctr_offset), or 0."""
    cookie: int | None = None
    count: int | None = None
    """How many functions a multi link hangs on."""
    is_return: bool | None = None
    """Whether a multi link hangs on returns."""
    addresses: tuple[int, ...] = ()
    """Of the functions of a kprobe.multi (6.6) or tracing_multi link; zeros for who may not see kernel addresses."""
    offsets: tuple[int, ...] = ()
    """Bytes into the file of each probe of a uprobe.multi link (6.8)."""
    semaphores: tuple[int, ...] = ()
    """As `semaphore`, one for each of `offsets`."""
    cookies: tuple[int, ...] = ()
    """One for each of `addresses` (6.9) or `offsets`."""
    target_btf_ids: tuple[int, ...] = ()
    """The functions of a tracing_multi link, in the BTF object `target_object_id`."""
    missed: int | None = None
    """Hits of a kprobe that ran no program (6.7)."""
    flags: int | None = None
    """As the link was made with: kprobe.multi, uprobe.multi, netfilter."""
    pid: int | None = None
    """The process of a uprobe.multi link or of an iterator over tasks; 0 for all."""
    tid: int | None = None
    """The thread of an iterator over tasks; 0 for all."""
    ifindex: int | None = None
    """0 once the interface is gone: the link is defunct."""
    cgroup_id: int | None = None
    """The inode of its directory; 0 once the cgroup is gone. Also where an iterator over cgroups begins."""
    order: int | None = None
    """How an iterator walks the cgroups (enum bpf_cgroup_iter_order)."""
    netns_inode: int | None = None
    map_id: int | None = None
    target_object_id: int | None = None
    """The program that a tracing link hangs on, or the BTF object of the kernel or module."""
    target_btf_id: int | None = None
    family: int | None = None
    """NFPROTO_IPV4 (2) or NFPROTO_IPV6 (10)."""
    hook: int | None = None
    priority: int | None = None


def link_info(link: FdLike, *, subject: str = "link") -> LinkInfo:
    """What the kernel says of a link (5.8). Asking an XDP link waits for the lock of the network configuration."""
    head = read_info(link, _PLAIN, subject=subject)
    kind = member(LinkType, head["type"])
    read = _READERS.get(kind)
    told = {} if read is None else read(link, subject)
    return LinkInfo(type=kind, id=head["id"], program_id=head["prog_id"], **told)


def _named(link: FdLike, layout: Layout, subject: str) -> tuple[Record, str]:
    buffer = bytearray(_NAME_BYTES)
    info = read_info(link, layout, subject=subject, name=buffer, name_len=len(buffer))
    return info, _text(buffer)


def _text(buffer: bytearray) -> str:
    return bytes(buffer).split(b"\0", 1)[0].decode(errors="replace")


def _raw_tracepoint(link: FdLike, subject: str) -> dict[str, Any]:
    info, name = _named(link, _RAW_TRACEPOINT, subject)
    return {"name": name, "cookie": info["cookie"]}


def _tracing(link: FdLike, subject: str) -> dict[str, Any]:
    info = read_info(link, _TRACING, subject=subject)
    return {
        "attach_type": info["attach_type"],
        "target_object_id": info["target_obj_id"],
        "target_btf_id": info["target_btf_id"],
        "cookie": info["cookie"],
    }


def _cgroup(link: FdLike, subject: str) -> dict[str, Any]:
    info = read_info(link, _CGROUP, subject=subject)
    return {"cgroup_id": info["cgroup_id"], "attach_type": info["attach_type"]}


def _iter(link: FdLike, subject: str) -> dict[str, Any]:
    info, name = _named(link, _ITER, subject)
    told: dict[str, Any] = {"name": name}
    if name == "cgroup":
        told |= {"cgroup_id": info["cgroup_id"], "order": info["order"]}
    elif name.startswith("task"):
        info, _ = _named(link, _ITER_TASK, subject)
        told |= {"tid": info["tid"], "pid": info["pid"]}
    elif name.startswith("bpf_"):
        told["map_id"] = info["map_id"]
    return told


def _netfilter(link: FdLike, subject: str) -> dict[str, Any]:
    info = read_info(link, _NETFILTER, subject=subject)
    return {
        "family": info["pf"],
        "hook": info["hooknum"],
        "priority": info["priority"],
        "flags": info["flags"],
    }


def _kprobe_multi(link: FdLike, subject: str) -> dict[str, Any]:
    info = read_info(link, _KPROBE_MULTI, subject=subject)
    told: dict[str, Any] = {"count": info["count"], "missed": info["missed"], "flags": info["flags"]}
    told["is_return"] = bool(info["flags"] & _MULTI_RETURN)
    return told | _arrays(link, _KPROBE_MULTI, info["count"], subject, addresses="addresses", cookies="cookies")


def _uprobe_multi(link: FdLike, subject: str) -> dict[str, Any]:
    buffer = bytearray(_NAME_BYTES)
    try:
        info = read_info(link, _UPROBE_MULTI, subject=subject, path=buffer, path_size=len(buffer))
    except KernelError as error:
        if error.errno != errno.E2BIG:  # before 6.8 nothing is told
            raise
        return {}
    told: dict[str, Any] = {
        "name": _text(buffer),
        "count": info["count"],
        "pid": info["pid"],
        "flags": info["flags"],
        "is_return": bool(info["flags"] & _MULTI_RETURN),
    }
    return told | _arrays(
        link,
        _UPROBE_MULTI,
        info["count"],
        subject,
        offsets="offsets",
        semaphores="semaphores",
        cookies="cookies",
    )


def _tracing_multi(link: FdLike, subject: str) -> dict[str, Any]:
    info = read_info(link, _TRACING_MULTI, subject=subject)
    told: dict[str, Any] = {
        "attach_type": info["attach_type"],
        "count": info["count"],
        "target_object_id": info["btf_obj_id"],
    }
    return told | _arrays(
        link,
        _TRACING_MULTI,
        info["count"],
        subject,
        target_btf_ids="ids",
        addresses="addresses",
        cookies="cookies",
    )


_NARROW = frozenset({"ids"})
"""Arrays of 32 bits an element."""


def _arrays(link: FdLike, layout: Layout, count: int, subject: str, **fields: str) -> dict[str, Any]:
    """The arrays of a multi link, *count* elements each; the fields of the info by the kernel's fields."""
    wanted = dict(fields)
    while count and wanted:
        buffers = {kernel: bytearray(count * (4 if kernel in _NARROW else 8)) for kernel in wanted.values()}
        try:
            read_info(link, layout, subject=subject, count=count, **buffers)
        except KernelError as error:
            # E2BIG: a kernel without the last field (cookies of kprobe.multi came with 6.9).
            if error.errno != errno.E2BIG:
                raise
            wanted.popitem()
            continue
        return {
            name: tuple(memoryview(buffers[kernel]).cast("I" if kernel in _NARROW else "Q"))
            for name, kernel in wanted.items()
        }
    return {}


def _two(first: str, second: str | None = None) -> Callable[[FdLike, str], dict[str, Any]]:
    def read(link: FdLike, subject: str) -> dict[str, Any]:
        info = read_info(link, _TWO, subject=subject)
        return {first: info["first"]} | ({} if second is None else {second: info["second"]})

    return read


def _perf_event(link: FdLike, subject: str) -> dict[str, Any]:
    info = read_info(link, _PERF_OTHER, subject=subject)
    kind = info["kind"]
    told: dict[str, Any] = {"event": _PERF_KINDS.get(kind)}
    if kind in {_UPROBE, _URETPROBE}:
        info, name = _named(link, _PERF_UPROBE, subject)
        told |= {"name": name, "offset": info["offset"], "semaphore": info["semaphore"]}
    elif kind in {_KPROBE, _KRETPROBE}:
        info, name = _named(link, _PERF_KPROBE, subject)
        told |= {"name": name, "offset": info["offset"], "address": info["address"], "missed": info["missed"]}
    elif kind == _TRACEPOINT:
        info, name = _named(link, _PERF_TRACEPOINT, subject)
        told["name"] = name
    elif kind == _EVENT:
        told |= {"config": info["config"], "event_type": info["event_type"]}
    # Before 6.6 nothing is told.
    return told | {"cookie": info["cookie"]}


_READERS: dict[LinkType, Callable[[FdLike, str], dict[str, Any]]] = {
    LinkType.RAW_TRACEPOINT: _raw_tracepoint,
    LinkType.TRACING: _tracing,
    LinkType.CGROUP: _cgroup,
    LinkType.ITER: _iter,
    LinkType.NETNS: _two("netns_inode", "attach_type"),
    LinkType.XDP: _two("ifindex"),
    LinkType.PERF_EVENT: _perf_event,
    LinkType.KPROBE_MULTI: _kprobe_multi,
    LinkType.STRUCT_OPS: _two("map_id"),
    LinkType.NETFILTER: _netfilter,
    LinkType.TCX: _two("ifindex", "attach_type"),
    LinkType.UPROBE_MULTI: _uprobe_multi,
    LinkType.NETKIT: _two("ifindex", "attach_type"),
    LinkType.SOCKMAP: _two("map_id", "attach_type"),
    LinkType.TRACING_MULTI: _tracing_multi,
}
