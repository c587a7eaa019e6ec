"""Programs of a network namespace: which socket takes a connection, and how flows are told apart."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.interface import namespace_of, netns_name
from aiobpf.link.link import Link, make_link
from aiobpf.uapi import AttachType, ProgramType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.kernel import FdLike
    from aiobpf.kernel.netns import NetNamespace
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_MOST_LOOKUPS = 64  # MAX_PROGS of kernel/bpf/net_namespace.c


@frozen
class SkLookup:
    """Which socket takes a TCP connection or a UDP datagram that arrives. Section ``sk_lookup`` (5.9).

    It is asked before the kernel looks for a listening or unconnected socket, in the network namespace *netns*: a path
    (/proc/PID/ns/net), a name that ``ip netns`` gave, or a descriptor; None for that of the thread that attaches. Up to
    64 programs share a namespace.
    """

    netns: str | FdLike | None = field(default=None, converter=netns_name)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which network namespace

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENOENT; E2BIG with 64 programs there), SpecError for a program of another type."""
        return await _attach(self, program, ProgramType.SK_LOOKUP, AttachType.SK_LOOKUP, self.netns)


@frozen
class FlowDissector:
    """How packets are taken apart into flows, for RPS, hashing and tc. Section ``flow_dissector`` (a link since 5.8).

    *netns* as in `SkLookup`. A namespace has one flow dissector. One of the root namespace serves all others too, so
    it and those of other namespaces exclude each other: EEXIST.
    """

    netns: str | FdLike | None = field(default=None, converter=netns_name)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which network namespace

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENOENT; EEXIST, E2BIG where another is in the way), SpecError for a program of another
        type."""
        return await _attach(self, program, ProgramType.FLOW_DISSECTOR, AttachType.FLOW_DISSECTOR, self.netns)


async def _attach(
    kind: SkLookup | FlowDissector,
    program: Program,
    type_: ProgramType,
    attach_type: AttachType,
    netns: str | FdLike | None,
) -> Link:
    if program.type != type_:
        raise SpecError(f"{kind!r} takes {type_.name} programs; {program.name!r} is a {program.type.name} program")

    def attach(program: Program, namespace: NetNamespace) -> Attachment:
        subject = f"program {program.name!r} on {namespace.what}"
        with namespace, building() as attachment:
            try:
                attachment.links.append(kernel.link_create(program, namespace, attach_type, subject=subject))
            except KernelError as error:
                raise _explained(error, attach_type, namespace, subject) from error
            return attachment

    # A worker thread may live in another network namespace than the thread that asks.
    with namespace_of(netns) as namespace:
        return await make_link(kind, program, lambda program: attach(program, namespace.duplicate()))


def _explained(error: KernelError, attach_type: AttachType, namespace: NetNamespace, subject: str) -> Exception:
    hint = None
    if error.errno == errno.EINVAL and kernel.kernel_release() < (5, 8):
        # 7f045a49fee0 brought links of network namespaces
        return NotSupportedError(f"{subject}: a bpf link of a network namespace", "5.8")
    if error.errno == errno.EINVAL:
        hint = f"{namespace.what} may be no network namespace"
    elif error.errno == errno.E2BIG:
        most = "one flow dissector" if attach_type == AttachType.FLOW_DISSECTOR else f"{_MOST_LOOKUPS} programs"
        hint = f"A network namespace has {most} at most, and this one has"
    elif error.errno == errno.EEXIST and kernel.prog_query(namespace, attach_type, subject=subject).program_ids:
        hint = "A program that was attached without a link is there: `bpftool net detach flow_dissector` takes it off"
    elif error.errno == errno.EEXIST:
        hint = (
            "A flow dissector of the root network namespace serves all, so none may be in any other beside it, "
            "and one is"
        )
    return error if hint is None else kernel_error(error.errno or 0, error.operation, subject, hint)
