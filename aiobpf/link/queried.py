"""What hangs on an interface, a cgroup or a network namespace, whoever put it there."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, kernel_error
from aiobpf.kernel import interfaces, traffic_control
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.interfaces import find_interface, no_interface
from aiobpf.kernel.netfilter_hooks import hooked_programs
from aiobpf.kernel.netlink import NETFILTER, NetlinkSocket
from aiobpf.kernel.worker import in_worker
from aiobpf.link.direction import Direction
from aiobpf.link.interface import namespace_of, netns_name
from aiobpf.link.netfilter import FAMILIES, HOOKS, NetfilterFamily, NetfilterHook
from aiobpf.link.xdp import XdpMode
from aiobpf.uapi import AttachType, LinkType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    from aiobpf.kernel import FdLike, LinkInfo
    from aiobpf.kernel.netns import NetNamespace

_XDP_MODES = {
    interfaces.XDP_DRIVER: XdpMode.NATIVE,
    interfaces.XDP_SKB: XdpMode.SKB,
    interfaces.XDP_HARDWARE: XdpMode.HW,
}
_CHAINS = {
    AttachType.TCX_INGRESS: Direction.INGRESS,
    AttachType.TCX_EGRESS: Direction.EGRESS,
    AttachType.NETKIT_PRIMARY: None,
    AttachType.NETKIT_PEER: None,
}
_FILTERS = {Direction.INGRESS: traffic_control.INGRESS, Direction.EGRESS: traffic_control.EGRESS}
_CGROUP_TYPES = tuple(kind for kind in AttachType if kind.name.startswith("CGROUP_") or kind is AttachType.LSM_CGROUP)
_NETNS_TYPES = (AttachType.FLOW_DISSECTOR, AttachType.SK_LOOKUP)
_FAMILIES = {number: family for family, number in FAMILIES.items()}
_HOOKS = {number: hook for hook, number in HOOKS.items()}
# Of a kernel that does not know the attach type, of an interface that is no netkit device, or its peer.
_NOTHING_THERE = frozenset({errno.EINVAL, errno.ENXIO, errno.EACCES, errno.EOPNOTSUPP})


@frozen(kw_only=True)
class QueriedProgram:
    """A program on a hook. What its kind of hook does not have is None (numbers: 0)."""

    where: str
    """"xdp", "tcx", "netkit", "clsact", "cgroup", "netns" or "netfilter"."""
    program_id: int
    program_name: str = ""
    """As the kernel has it, 15 characters; of clsact the name of the filter. Empty if it went meanwhile."""
    link_id: int | None = None
    """The bpf link that holds it there, None for a program without one."""
    attach_type: AttachType | None = None
    """Of tcx, netkit, cgroups and network namespaces."""
    position: int = 0
    """Its place in the order of those on the same hook, from 0."""
    revision: int = 0
    """Of tcx, netkit (and cgroups since 6.17): what `Tcx.expected_revision` takes."""
    flags: int = 0
    """BPF_F_* that it was attached with (cgroups, 6.1), or those of the cgroup's hook."""
    direction: Direction | None = None
    """Of tcx and clsact."""
    mode: XdpMode | None = None
    priority: int | None = None
    """Of clsact and netfilter."""
    handle: int | None = None
    """Of clsact."""
    family: NetfilterFamily | None = None
    hook: NetfilterHook | None = None
    may_be_elsewhere: bool = False
    """A netfilter program on a kernel that does not tell of which namespace (no CONFIG_NETFILTER_NETLINK_HOOK)."""


async def query(
    *,
    interface: str | int | None = None,
    cgroup: str | PathLike[str] | None = None,
    netns: str | PathLike[str] | FdLike | None = None,
    effective: bool = False,
) -> list[QueriedProgram]:
    """The programs on one thing, in the order in which those of a hook run.

    - *interface* (name or index, in *netns* if that is given): XDP, tcx, netkit, and the BPF filters of clsact;
    - *cgroup*: a directory of cgroup v2, every attach type; with *effective* also what its ancestors hand down;
    - *netns* alone, or nothing for the calling thread's: flow dissector, sk_lookup and netfilter.

    Asking takes CAP_NET_ADMIN; link ids and names CAP_SYS_ADMIN, without which they are left out. Programs come and go
    meanwhile. Raises KernelError (ENODEV with the interfaces that there are, ENOENT), ValueError for two things at
    once.
    """
    if cgroup is not None:
        if interface is not None or netns is not None:
            raise ValueError("query(cgroup=...) takes no interface and no netns")
        path = os.fspath(cgroup)
        return await in_worker(lambda: list(_of_cgroup(path, effective)))
    if effective:
        raise ValueError("query(effective=True) is for cgroups")

    def run(ask: Callable[[NetNamespace], Iterable[QueriedProgram]]) -> list[QueriedProgram]:
        with namespace.duplicate() as inside, inside.entered():
            return list(ask(inside))

    # A worker thread may live in another network namespace than the thread that asks.
    with namespace_of(netns_name(netns)) as namespace:
        if interface is None:
            return await in_worker(run, _of_namespace)
        return await in_worker(run, lambda _: _of_interface(interface))


def _of_interface(interface: str | int) -> Iterator[QueriedProgram]:
    index = find_interface(interface)
    subject = f"interface {interface!r}"
    with NetlinkSocket() as route:
        try:
            xdp = interfaces.xdp_programs(route, index, subject=subject)
        except KernelError as error:
            raise no_interface(interface) if error.errno == errno.ENODEV else error from error
        links = _links(LinkType.XDP) if xdp else []
        for program in xdp:
            held = [each.id for each in links if (each.ifindex, each.program_id) == (index, program.program_id)]
            yield QueriedProgram(
                where="xdp",
                program_id=program.program_id,
                program_name=_name(program.program_id),
                link_id=held[0] if held else None,
                mode=_XDP_MODES[program.mode],
            )
        for attach_type, direction in _CHAINS.items():
            where = "netkit" if direction is None else "tcx"
            yield from _chain(where, index, attach_type, direction, subject)
        for direction, parent in _FILTERS.items():
            filters = traffic_control.filters(route, index, parent, subject=subject)
            for position, filter_ in enumerate(each for each in filters if each.program_id is not None):
                yield QueriedProgram(
                    where="clsact",
                    program_id=filter_.program_id or 0,
                    program_name=filter_.program_name,
                    position=position,
                    direction=direction,
                    priority=filter_.priority,
                    handle=filter_.handle,
                )


def _chain(
    where: str, index: int, attach_type: AttachType, direction: Direction | None, subject: str
) -> Iterator[QueriedProgram]:
    attached = _attached(index, attach_type, subject, details=True)
    if attached is None:
        return
    for position, program_id in enumerate(attached.program_ids):
        yield QueriedProgram(
            where=where,
            program_id=program_id,
            program_name=_name(program_id),
            link_id=attached.link_ids[position] or None,
            attach_type=attach_type,
            position=position,
            revision=attached.revision,
            flags=attached.program_flags[position],
            direction=direction,
        )


def _of_cgroup(path: str, effective: bool) -> Iterator[QueriedProgram]:
    try:
        directory = OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"cgroup {path!r}")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise kernel_error(getattr(error, "errno", None) or errno.EINVAL, "open", f"cgroup {path!r}") from error
    with directory:
        links: list[LinkInfo] | None = None
        ids = _ids_of_ancestors(path) if effective else [os.fstat(directory.fileno()).st_ino]
        for attach_type in _CGROUP_TYPES:
            flags = kernel.QUERY_EFFECTIVE if effective else 0
            attached = _attached(directory, attach_type, f"cgroup {path!r}", flags=flags, details=True)
            if attached is None or not attached.program_ids:
                continue
            if links is None:
                links = _links(LinkType.CGROUP)
            for position, program_id in enumerate(attached.program_ids):
                held = [
                    each.id
                    for cgroup_id in ids
                    for each in links
                    if (each.cgroup_id, each.attach_type, each.program_id) == (cgroup_id, attach_type, program_id)
                ]
                yield QueriedProgram(
                    where="cgroup",
                    program_id=program_id,
                    program_name=_name(program_id),
                    link_id=held[0] if held else None,
                    attach_type=attach_type,
                    position=position,
                    revision=attached.revision,
                    flags=attached.program_flags[position] if attached.program_flags else attached.flags,
                )


def _ids_of_ancestors(path: str) -> list[int]:
    """The inode of the cgroup and of each above it, the nearest first, as far as the mount reaches."""
    ids = []
    place = os.path.realpath(path)
    device = os.stat(place).st_dev
    while os.stat(place).st_dev == device:
        ids.append(os.stat(place).st_ino)
        if place == "/":
            break
        place = os.path.dirname(place)
    return ids


def _of_namespace(namespace: NetNamespace) -> Iterator[QueriedProgram]:
    for attach_type in _NETNS_TYPES:
        attached = _attached(namespace, attach_type, namespace.what)
        if attached is None or not attached.program_ids:
            continue
        links = _links(LinkType.NETNS)
        for position, program_id in enumerate(attached.program_ids):
            held = [
                each.id
                for each in links
                if (each.netns_inode, each.attach_type, each.program_id) == (namespace.inode, attach_type, program_id)
            ]
            yield QueriedProgram(
                where="netns",
                program_id=program_id,
                program_name=_name(program_id),
                link_id=held[0] if held else None,
                attach_type=attach_type,
                position=position,
            )
    yield from _netfilter(namespace)


def _netfilter(namespace: NetNamespace) -> Iterator[QueriedProgram]:
    links = _links(LinkType.NETFILTER)
    if not links:  # programs hang there by links only
        return
    rows: list[tuple[int, int, int, int]]
    with NetlinkSocket(NETFILTER) as socket:
        hooked = hooked_programs(socket, subject=namespace.what)
    if hooked is not None:
        rows = [(each.family, each.hook, each.priority, each.program_id) for each in hooked]
    else:
        rows = sorted(_place(each) for each in links)
    position, before = 0, None
    for row in rows:
        family, hook, priority, program_id = row
        position = position + 1 if (family, hook) == before else 0
        before = family, hook
        held = [each.id for each in links if _place(each) == row]
        yield QueriedProgram(
            where="netfilter",
            program_id=program_id,
            program_name=_name(program_id),
            link_id=held[0] if held else None,
            attach_type=AttachType.NETFILTER,
            position=position,
            priority=priority,
            family=_FAMILIES.get(family),
            hook=_HOOKS.get(hook),
            may_be_elsewhere=hooked is None,
        )


def _place(link: LinkInfo) -> tuple[int, int, int, int]:
    return link.family or 0, link.hook or 0, link.priority or 0, link.program_id


def _attached(
    target: FdLike, attach_type: AttachType, subject: str, *, flags: int = 0, details: bool = False
) -> kernel.Attached | None:
    """None where the kernel does not know the hook, or the interface does not have it."""
    try:
        return kernel.prog_query(target, attach_type, flags=flags, details=details, subject=subject)
    except KernelError as error:
        if error.errno in _NOTHING_THERE or (error.errno == errno.ENOENT and isinstance(target, int)):
            return None
        raise


def _links(kind: LinkType) -> list[LinkInfo]:
    """The kernel's links of one kind, by rising id; none for who may not list them, and before 5.8."""
    found = []
    with contextlib.suppress(KernelError, NotSupportedError):
        for number in kernel.all_ids(kernel.ObjectKind.LINK):
            with contextlib.suppress(KernelError), kernel.link_by_id(number) as link:  # it may be gone
                info = kernel.link_info(link)
                if info.type == kind:
                    found.append(info)
    return found


def _name(program_id: int) -> str:
    with contextlib.suppress(KernelError), kernel.program_by_id(program_id) as program:
        return kernel.program_info(program).name
    return ""
