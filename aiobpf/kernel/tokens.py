"""BPF tokens (6.9): what a bpffs was mounted to allow, for a user namespace that may do nothing of itself.

Source: kernel/bpf/token.c, kernel/bpf/inode.c (the options delegate_cmds, delegate_maps, delegate_progs and
delegate_attachs of a bpffs).
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from aiobpf.errors import KernelError, NotSupportedError, kernel_error
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.info import read_info
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.mounts import mounts
from aiobpf.kernel.syscall import new_fd
from aiobpf.uapi import AttachType, Command, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import IntEnum
    from os import PathLike
    from typing import TypeVar

    from aiobpf.kernel.fd import FdLike

    E = TypeVar("E", bound=IntEnum)

TokenSource: TypeAlias = "FdLike | str | PathLike[str] | None"
"""Where a token comes from: one that is open, the directory that a delegated bpffs is mounted at, "auto" for one to be
found (`find_token`), None for none."""

AUTO = "auto"
_CREATE = Layout("flags:I bpffs_fd:I")
_INFO = Layout("commands:Q maps:Q programs:Q attachments:Q")
_INITIAL_USER_NAMESPACE = 0xEFFF_FFFD  # PROC_USER_INIT_INO
_DELEGATION = "delegate_"


def is_in_initial_user_namespace() -> bool:
    """Whether this process lives in the system's first user namespace, where capabilities count and no token does."""
    try:
        return os.stat("/proc/self/ns/user").st_ino == _INITIAL_USER_NAMESPACE
    except OSError:  # no user namespaces, or no /proc
        return True


def create_token(bpffs: FdLike | str | PathLike[str]) -> OwnedFd:
    """A token of a delegated bpffs, by its root directory or a descriptor of it (BPF_TOKEN_CREATE, 6.9).

    NotSupportedError on older kernels. KernelError: EINVAL (no root of a bpffs), ENOENT (it delegates nothing),
    EOPNOTSUPP (in the first user namespace), EPERM (not the user namespace that mounted it, or without CAP_BPF in it).
    """
    if not isinstance(bpffs, (str, os.PathLike)):
        return _create(bpffs if isinstance(bpffs, int) else bpffs.fileno(), "BPF token")
    path = os.fspath(bpffs)
    try:
        directory = OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"directory {path}")
    except OSError as error:
        raise kernel_error(error.errno or errno.EIO, "open", f"BPF token of {path}") from error
    with directory:
        return _create(directory.fileno(), f"BPF token of {path}")


_HINTS = {
    errno.EINVAL: "It is not the root of a bpffs",
    errno.ENOENT: "That bpffs delegates nothing: it is mounted without delegate_cmds and the other options",
    errno.EOPNOTSUPP: "There are no tokens in the first user namespace: its processes have capabilities",
    errno.EPERM: "A token is made in the user namespace that the bpffs belongs to, with CAP_BPF there",
}


def _create(directory: int, what: str) -> OwnedFd:
    try:
        return new_fd(Command.TOKEN_CREATE, _CREATE.make(bpffs_fd=directory), what)
    except KernelError as error:
        from aiobpf.kernel.features import Feature, Unsupported, kernel_features

        if isinstance(kernel_features().probe(Feature.TOKEN), Unsupported):
            raise NotSupportedError("A BPF token", Feature.TOKEN.since) from error
        number = error.errno or errno.EIO
        raise kernel_error(number, error.operation, what, _HINTS.get(number)) from error


def delegated_mounts() -> Iterator[str]:
    """Where a bpffs that delegates something is mounted, as /proc says, the first mounted first."""
    return mounts("bpf", with_option=_DELEGATION)


def find_token() -> OwnedFd | None:
    """A token of the first delegated bpffs that gives one; None in the first user namespace, and where none does."""
    if is_in_initial_user_namespace():
        return None
    with contextlib.suppress(OSError):  # no /proc
        for path in delegated_mounts():
            with contextlib.suppress(KernelError, NotSupportedError):
                return create_token(path)
    return None


@contextlib.contextmanager
def opened_token(source: TokenSource) -> Iterator[int | None]:
    """The descriptor of the token that *source* says, closed at the end if it was made here."""
    if source is None:
        yield None
    elif source == AUTO:
        found = find_token()
        if found is None:
            yield None
        else:
            with found:
                yield found.fileno()
    elif isinstance(source, (str, os.PathLike)):
        with create_token(source) as made:
            yield made.fileno()
    else:
        yield source if isinstance(source, int) else source.fileno()


@frozen
class TokenInfo:
    """What a token allows (struct bpf_token_info, 6.17): numbers that this release does not know are left out."""

    commands: frozenset[Command]
    map_types: frozenset[MapType]
    program_types: frozenset[ProgramType]
    attach_types: frozenset[AttachType]


def token_info(token: FdLike) -> TokenInfo:
    """What *token* allows. KernelError EINVAL before 6.17."""
    info = read_info(token, _INFO, subject="BPF token")
    return TokenInfo(
        commands=_chosen(Command, info["commands"]),
        map_types=_chosen(MapType, info["maps"]),
        program_types=_chosen(ProgramType, info["programs"]),
        attach_types=_chosen(AttachType, info["attachments"]),
    )


def _chosen(kind: type[E], mask: int) -> frozenset[E]:
    return frozenset(each for each in kind if each < 64 and mask >> each & 1)
