"""Hooks of an interface that run several programs in order and know their revision: tcx and netkit."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, final

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel.fd import duplicate
from aiobpf.kernel.interfaces import find_interface, no_interface
from aiobpf.link.anchor import Last, Replace
from aiobpf.link.attachment import Attachment, building

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiobpf.kernel import FdLike, OwnedFd
    from aiobpf.kernel.netns import NetNamespace
    from aiobpf.link.anchor import Anchor
    from aiobpf.runtime.program import Program
    from aiobpf.uapi import AttachType


def check_anchor(anchor: Anchor | None, has_link: bool) -> None:
    """ValueError for a place that only a program without a link can take."""
    if has_link and isinstance(anchor, Replace):
        raise ValueError("Replace is for programs without a link (link=False); a link's program takes Link.update")


def attach_type_of(program: Program, chosen: AttachType | None, hooks: Collection[AttachType]) -> AttachType | None:
    """The one of *hooks* that was *chosen*, or that the program's section says; None where neither does."""
    loaded_for = None if program.spec is None else program.spec.attach_type
    found = loaded_for if chosen is None else chosen
    return found if found in hooks else None


def attach_in_chain(
    program: Program,
    namespace: NetNamespace,
    interface: str | int,
    attach_type: AttachType,
    *,
    anchor: Anchor | None,
    expected_revision: int,
    has_link: bool,
    since: str,
) -> Attachment:
    """Put *program* into the chain of *interface* of *namespace*, in which this thread is.

    Raises NotSupportedError with *since* where the kernel does not know the hook, SpecError where the anchor is not in
    the chain, KernelError ENODEV where there is no such interface, ESTALE where the chain is not at
    *expected_revision*.
    """
    index = find_interface(interface)
    subject = f"program {program.name!r} on interface {interface!r} ({attach_type.name})"
    try:
        with building() as attachment:
            if has_link:
                where = (anchor if anchor is not None and not isinstance(anchor, Replace) else Last()).position()
                attachment.links.append(
                    kernel.link_relative(
                        program,
                        index,
                        attach_type,
                        flags=where.flags,
                        relative=where.relative,
                        expected_revision=expected_revision,
                        subject=subject,
                    )
                )
            else:
                attachment.undos.append(
                    _attach_without_link(program, namespace, index, attach_type, anchor, expected_revision, subject)
                )
            return attachment
    except KernelError as error:
        if error.errno == errno.ENODEV:
            raise no_interface(interface) from error
        raise _explained(error, index, attach_type, anchor, expected_revision, since, subject) from error


def _attach_without_link(
    program: Program,
    namespace: NetNamespace,
    index: int,
    attach_type: AttachType,
    anchor: Anchor | None,
    expected_revision: int,
    subject: str,
) -> _InChain:
    undo = _InChain(namespace.duplicate(), index, attach_type, duplicate(program, f"program {program.name!r}"), subject)
    try:
        flags = 0
        relative: FdLike = 0
        replace: FdLike | None = None
        if isinstance(anchor, Replace):
            replace = anchor.other
        else:
            where = (anchor or Last()).position()
            flags, relative = where.flags, where.relative
        kernel.prog_attach(
            program,
            index,
            attach_type,
            flags=flags,
            relative=relative,
            replace=replace,
            expected_revision=expected_revision,
            subject=subject,
        )
    except BaseException:
        undo.leak()
        raise
    return undo


def _explained(
    error: KernelError,
    index: int,
    attach_type: AttachType,
    anchor: Anchor | None,
    expected_revision: int,
    since: str,
    subject: str,
) -> Exception:
    if error.errno == errno.EINVAL and not _is_known(index, attach_type):
        return NotSupportedError(f"{subject}: {attach_type.name} programs", since)
    if error.errno == errno.ESTALE:
        hint = f"The chain is not at revision {expected_revision} any more: query it again"
        return kernel_error(errno.ESTALE, error.operation, subject, hint)
    if error.errno == errno.EEXIST:
        return kernel_error(errno.EEXIST, error.operation, subject, "This program is in the chain already")
    if error.errno == errno.ENOENT and anchor is not None:
        return SpecError(f"{subject}: {anchor} speaks of what is not in the chain")
    if error.errno == errno.ERANGE:
        hint = f"{anchor} is no place in the chain, or that is full: it takes 64 programs"
        return kernel_error(errno.ERANGE, error.operation, subject, hint)
    return error


def _is_known(index: int, attach_type: AttachType) -> bool:
    try:
        kernel.prog_query(index, attach_type)
    except KernelError as error:
        return error.errno != errno.EINVAL
    return True


@final
class _InChain:
    """A program in a chain without a link: nothing but BPF_PROG_DETACH takes it off, not even the end of this process.

    It goes by the interface's index, so it keeps the network namespace.
    """

    def __init__(
        self, namespace: NetNamespace, index: int, attach_type: AttachType, program: OwnedFd, subject: str
    ) -> None:
        """Take the namespace and the descriptor over."""
        self._namespace = namespace
        self._index = index
        self._attach_type = attach_type
        self._program = program
        self._subject = subject

    def replace(self, program: FdLike, expected: FdLike | None, subject: str) -> None:
        new = duplicate(program, self._program.what)
        try:
            with self._namespace.entered():
                kernel.prog_attach(
                    new,
                    self._index,
                    self._attach_type,
                    replace=self._program if expected is None else expected,
                    subject=subject,
                )
        except BaseException:
            new.close()
            raise
        self._program, old = new, self._program
        old.close()

    def close(self) -> None:
        try:
            with self._namespace.entered():
                kernel.prog_detach(self._program, self._index, self._attach_type, subject=self._subject)
        except KernelError as error:
            if error.errno not in {errno.ENOENT, errno.ENODEV}:  # someone else took it off; the interface is gone
                raise
        finally:
            self.leak()

    def leak(self) -> None:
        self._program.close()
        self._namespace.close()
