"""Hanging programs on hooks: links (since 5.7, each kind later), and the attaching without one that is older.

What a program needs, and what an errno means for it, the attach kinds know; here is each command with its fields.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf._native import ffi
from aiobpf.kernel.capabilities import Capability, privilege_error
from aiobpf.kernel.fd import FdLike, OwnedFd, number
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import checked, new_fd, try_fd
from aiobpf.uapi import AttachType, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiobpf.kernel.layout import Record

_RAW_TRACEPOINT = Layout("name:P prog_fd:I cookie:Q")
_HEAD = "prog_fd:I target:I attach_type:I flags:I"
_LINK_PLAIN = Layout(f"{_HEAD} target_btf_id:I")
_LINK_PERF_EVENT = Layout(f"{_HEAD} cookie:Q")
_LINK_TRACING = Layout(f"{_HEAD} target_btf_id:I cookie:Q")
_LINK_ITER = Layout(f"{_HEAD} iter_info:P iter_info_len:I")
_LINK_KPROBE_MULTI = Layout(f"{_HEAD} multi_flags:I cnt:I syms:P addrs:P cookies:P")
_LINK_UPROBE_MULTI = Layout(f"{_HEAD} path:P offsets:P ref_ctr_offsets:P cookies:P cnt:I multi_flags:I pid:I")
_LINK_TRACING_MULTI = Layout(f"{_HEAD} ids:P cookies:P cnt:I")
_LINK_NETFILTER = Layout(f"{_HEAD} pf:I hooknum:I priority:i netfilter_flags:I")
_LINK_RELATIVE = Layout(f"{_HEAD} relative:I expected_revision:Q")
_LINK_UPDATE = Layout("link_fd:I new_fd:I flags:I old_fd:I")
_LINK_DETACH = Layout("link_fd:I")
_ITER_CREATE = Layout("link_fd:I flags:I")
_ATTACH = Layout(
    "target:I attach_bpf_fd:I attach_type:I attach_flags:I replace_bpf_fd:I relative:I expected_revision:Q"
)
_QUERY = Layout(
    "target:I attach_type:I query_flags:I attach_flags:I prog_ids:P count:I prog_attach_flags:P link_ids:P"
    " link_attach_flags:P revision:Q"
)

F_REPLACE = 1 << 2  # BPF_F_REPLACE
_QUERY_ROOM = 64
_QUERY_MOST = 1 << 16
KPROBE_MULTI_RETURN = 1 << 0
UPROBE_MULTI_RETURN = 1 << 0


def raw_tracepoint_open(
    name: str | None, program: FdLike, *, cookie: int = 0, subject: str = "raw tracepoint"
) -> OwnedFd:
    """BPF_RAW_TRACEPOINT_OPEN (4.17): a link of *program* to the tracepoint *name*; *cookie* since 6.10.

    None for programs whose target was fixed at load: tp_btf, fentry, fexit, fmod_ret, LSM. Takes 8 to 16 ms on some
    tracepoints (RCU). KernelError: ENOENT (no such tracepoint), EINVAL, EBUSY.
    """
    attr = _RAW_TRACEPOINT.make(
        name=None if name is None else name.encode() + b"\0", prog_fd=number(program), cookie=cookie
    )
    return _open(Command.RAW_TRACEPOINT_OPEN, attr, subject)


def link_create(
    program: FdLike,
    target: FdLike | None,
    attach_type: AttachType,
    *,
    flags: int = 0,
    cookie: int | None = None,
    target_btf_id: int = 0,
    subject: str = "",
) -> OwnedFd:
    """BPF_LINK_CREATE (5.7): a link of *program* to *target*.

    *target* is a descriptor (of a cgroup, a network namespace, a perf event, a map, a program) or an interface index,
    as *attach_type* has it; None for 0. *cookie* for perf events (5.15) and tracing programs (5.18); *target_btf_id*
    for tracing programs and freplace. KernelError with the errno, MissingPrivilegeError.
    """
    layout = _LINK_PLAIN
    extra: dict[str, int] = {}
    if attach_type == AttachType.PERF_EVENT:
        layout, extra = _LINK_PERF_EVENT, {"cookie": cookie or 0}
    elif cookie is not None:
        layout, extra = _LINK_TRACING, {"target_btf_id": target_btf_id, "cookie": cookie}
    elif target_btf_id:
        extra = {"target_btf_id": target_btf_id}
    attr = layout.make(
        prog_fd=number(program),
        target=0 if target is None else number(target),
        attach_type=attach_type,
        flags=flags,
        **extra,
    )
    return _open(Command.LINK_CREATE, attr, subject or f"{attach_type.name} link")


def link_relative(
    program: FdLike,
    target: FdLike,
    attach_type: AttachType,
    *,
    flags: int = 0,
    relative: FdLike = 0,
    expected_revision: int = 0,
    subject: str = "",
) -> OwnedFd:
    """A link in an ordered chain: tcx, netkit (6.6, 6.7), cgroup (6.17). *flags* say what *relative* is (BPF_F_BEFORE,
    BPF_F_AFTER with BPF_F_ID or BPF_F_LINK); ESTALE where the chain is not at *expected_revision*."""
    attr = _LINK_RELATIVE.make(
        prog_fd=number(program),
        target=number(target),
        attach_type=attach_type,
        flags=flags,
        relative=number(relative),
        expected_revision=expected_revision,
    )
    return _open(Command.LINK_CREATE, attr, subject or f"{attach_type.name} link")


def link_kprobe_multi(
    program: FdLike,
    *,
    symbols: Sequence[str] = (),
    addresses: Sequence[int] = (),
    cookies: Sequence[int] = (),
    is_return: bool = False,
    attach_type: AttachType = AttachType.TRACE_KPROBE_MULTI,
    subject: str = "kprobe.multi link",
) -> OwnedFd:
    """One link on many kernel functions, by *symbols* or *addresses* (5.18); *cookies* one for each or none.

    The cookies go with the symbols as given. KernelError: EOPNOTSUPP without CONFIG_FPROBE, ESRCH or ENOENT for a
    symbol that is not there or not traceable.
    """
    names = [symbol.encode() + b"\0" for symbol in symbols]
    pinned = [ffi.from_buffer(name) for name in names]
    attr = _LINK_KPROBE_MULTI.make(
        prog_fd=number(program),
        attach_type=attach_type,
        multi_flags=KPROBE_MULTI_RETURN if is_return else 0,
        cnt=len(names) or len(addresses),
        syms=_u64s([int(ffi.cast("uintptr_t", cdata)) for cdata in pinned]),
        addrs=_u64s(addresses),
        cookies=_u64s(cookies),
    )
    return _open(Command.LINK_CREATE, attr, subject)


def link_uprobe_multi(
    program: FdLike,
    path: str | bytes,
    offsets: Sequence[int],
    *,
    semaphores: Sequence[int] = (),
    cookies: Sequence[int] = (),
    pid: int = 0,
    is_return: bool = False,
    attach_type: AttachType = AttachType.TRACE_UPROBE_MULTI,
    subject: str = "uprobe.multi link",
) -> OwnedFd:
    """One link on many places of the file *path* (6.6), of *pid* or every process (0).

    *offsets* are in the file, as are *semaphores*, the reference counters to raise (one for each, or none).
    """
    attr = _LINK_UPROBE_MULTI.make(
        prog_fd=number(program),
        attach_type=attach_type,
        path=(path.encode() if isinstance(path, str) else path) + b"\0",
        offsets=_u64s(offsets),
        ref_ctr_offsets=_u64s(semaphores),
        cookies=_u64s(cookies),
        cnt=len(offsets),
        multi_flags=UPROBE_MULTI_RETURN if is_return else 0,
        pid=pid,
    )
    return _open(Command.LINK_CREATE, attr, subject)


def link_tracing_multi(
    program: FdLike,
    type_ids: Sequence[int],
    attach_type: AttachType,
    *,
    cookies: Sequence[int] = (),
    subject: str = "tracing multi link",
) -> OwnedFd:
    """One link on many kernel functions through trampolines (7.2): fentry.multi, fexit.multi, fsession.multi.

    *type_ids* are functions of the BTF that the program was loaded for; *cookies* one for each or none. KernelError:
    EINVAL (a function that may not be traced), EOPNOTSUPP (an architecture without).
    """
    attr = _LINK_TRACING_MULTI.make(
        prog_fd=number(program),
        attach_type=attach_type,
        ids=struct.pack(f"={len(type_ids)}I", *type_ids),
        cookies=_u64s(cookies),
        cnt=len(type_ids),
    )
    return _open(Command.LINK_CREATE, attr, subject)


def link_netfilter(
    program: FdLike, family: int, hook: int, priority: int, *, flags: int = 0, subject: str = "netfilter link"
) -> OwnedFd:
    """A link to a netfilter hook (6.4)."""
    attr = _LINK_NETFILTER.make(
        prog_fd=number(program),
        attach_type=AttachType.NETFILTER,
        pf=family,
        hooknum=hook,
        priority=priority,
        netfilter_flags=flags,
    )
    return _open(Command.LINK_CREATE, attr, subject)


def link_iter(program: FdLike, info: bytes = b"", *, subject: str = "iterator link") -> OwnedFd:
    """A link that makes iterators (5.8); *info* is a union bpf_iter_link_info."""
    attr = _LINK_ITER.make(
        prog_fd=number(program), attach_type=AttachType.TRACE_ITER, iter_info=info, iter_info_len=len(info)
    )
    return _open(Command.LINK_CREATE, attr, subject)


def link_update(
    link: FdLike, program: FdLike, *, flags: int = 0, expected: FdLike | None = None, subject: str = "link"
) -> None:
    """Exchange the link's program, with no gap (BPF_LINK_UPDATE, 5.7); only if it is *expected* (EPERM otherwise)."""
    if expected is not None:
        flags |= F_REPLACE
    attr = _LINK_UPDATE.make(
        link_fd=number(link),
        new_fd=number(program),
        flags=flags,
        old_fd=0 if expected is None else number(expected),
    )
    checked(Command.LINK_UPDATE, attr, subject)


def link_detach(link: FdLike, *, subject: str = "link") -> None:
    """Take the program off the hook though the link is held elsewhere (BPF_LINK_DETACH, 5.9); not every kind can."""
    checked(Command.LINK_DETACH, _LINK_DETACH.make(link_fd=number(link)), subject)


def iter_create(link: FdLike, *, subject: str = "iterator") -> OwnedFd:
    """A new iterator to read from (BPF_ITER_CREATE, 5.8)."""
    return new_fd(Command.ITER_CREATE, _ITER_CREATE.make(link_fd=number(link)), subject)


def prog_attach(
    program: FdLike,
    target: FdLike,
    attach_type: AttachType,
    *,
    flags: int = 0,
    replace: FdLike | None = None,
    relative: FdLike = 0,
    expected_revision: int = 0,
    subject: str = "",
) -> None:
    """Attach without a link (BPF_PROG_ATTACH): it stays until it is detached or the target goes, whoever ends.

    *relative* and *expected_revision* as for `link_relative`.
    """
    attr = _ATTACH.make(
        target=number(target),
        attach_bpf_fd=number(program),
        attach_type=attach_type,
        attach_flags=flags | (F_REPLACE if replace is not None else 0),
        replace_bpf_fd=0 if replace is None else number(replace),
        relative=number(relative),
        expected_revision=expected_revision,
    )
    checked(Command.PROG_ATTACH, attr, subject or f"{attach_type.name} attachment")


def prog_detach(program: FdLike, target: FdLike, attach_type: AttachType, *, subject: str = "") -> None:
    """Undo `prog_attach`. KernelError ENOENT if it does not hang there."""
    attr = _ATTACH.make(target=number(target), attach_bpf_fd=number(program), attach_type=attach_type)
    checked(Command.PROG_DETACH, attr, subject or f"{attach_type.name} attachment")


@frozen
class Attached:
    """What hangs on a hook, in order. The three tuples beside *program_ids* are as long, or empty where the kernel does
    not tell."""

    program_ids: tuple[int, ...]
    revision: int
    """Changes with every change of the chain (6.6), else 0."""
    program_flags: tuple[int, ...] = ()
    """Of a cgroup (6.1), tcx and netkit: what each program was attached with."""
    link_ids: tuple[int, ...] = ()
    """Of tcx and netkit: each program's link, 0 for one without."""
    flags: int = 0
    """Of a cgroup: how it shares the hook (BPF_F_ALLOW_MULTI, BPF_F_ALLOW_OVERRIDE)."""


QUERY_EFFECTIVE = 1 << 0  # BPF_F_QUERY_EFFECTIVE


def prog_query(
    target: FdLike, attach_type: AttachType, *, flags: int = 0, details: bool = False, subject: str = ""
) -> Attached:
    """The programs attached to a cgroup, network namespace, interface or map (BPF_PROG_QUERY, 4.15).

    With *details*, also the flags and link of each, where the kernel tells: it is asked for fewer if it knows fewer.
    """
    room = _QUERY_ROOM
    wanted = [("prog_attach_flags", "link_ids"), ("prog_attach_flags",), ()] if details else [()]
    while True:
        ids = bytearray(4 * room)
        extra = {name: bytearray(4 * room) for name in wanted[0]}
        attr = _QUERY.make(
            target=number(target), attach_type=attach_type, query_flags=flags, prog_ids=ids, count=room, **extra
        )
        try:
            checked(Command.PROG_QUERY, attr, subject or f"{attach_type.name} programs")
        except OSError as error:
            # E2BIG: a field from after this kernel. EINVAL: effective programs have no flags of their own (6.1).
            if error.errno in {errno.E2BIG, errno.EINVAL} and len(wanted) > 1:
                wanted = wanted[1:]
                continue
            if error.errno != errno.ENOSPC or room >= _QUERY_MOST:
                raise
            room = max(attr["count"], room * 2)
            continue
        count = attr["count"]

        def numbers(data: bytearray | None, count: int = count) -> tuple[int, ...]:
            return () if data is None else tuple(memoryview(data).cast("I")[:count])

        return Attached(
            numbers(ids),
            attr["revision"],
            numbers(extra.get("prog_attach_flags")),
            numbers(extra.get("link_ids")),
            attr["attach_flags"],
        )


def _open(command: Command, attr: Record, what: str) -> OwnedFd:
    owner = OwnedFd(what=what)
    error = try_fd(command, attr, owner)
    if error:
        needed = (Capability.BPF, Capability.PERFMON, Capability.NET_ADMIN)
        raise privilege_error(error, f"BPF_{command.name}", what, needed)
    return owner


def _u64s(values: Sequence[int]) -> bytes:
    return struct.pack(f"={len(values)}Q", *values)
