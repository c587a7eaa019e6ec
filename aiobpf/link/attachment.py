"""The kernel objects that keep one program on its hook, and how they are made and let go of together."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol, final, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.kernel import FdLike, OwnedFd


class Undo(Protocol):
    """A hook that no descriptor stands for: a tracefs event, a program attached to a cgroup without a link."""

    def close(self) -> None:
        """Take it away. Raises KernelError where the kernel refuses."""
        ...

    def leak(self) -> None:
        """Leave it where it is."""
        ...


@runtime_checkable
class Replaceable(Undo, Protocol):
    """A hook without a descriptor whose program can be exchanged in place."""

    def replace(self, program: FdLike, expected: FdLike | None, subject: str) -> None:
        """Put *program* there, only in the place of *expected* if that is given. Raises KernelError."""
        ...


@final
class Attachment:
    """bpf links, the perf events below them, and hooks that need undoing: closed in this order.

    A link goes first, since the event below it may not go while a program hangs on it (tracefs: EBUSY).
    """

    __slots__ = ("events", "links", "undos")

    def __init__(self) -> None:
        self.links: list[OwnedFd] = []
        self.events: list[OwnedFd] = []
        self.undos: list[Undo] = []

    def close(self) -> None:
        """Let go of everything; blocks until the kernel has. All are closed even if one raises; the first comes out."""
        failure: Exception | None = None
        while self.links:
            self.links.pop().close()
        while self.events:
            self.events.pop().close()
        while self.undos:
            try:
                self.undos.pop().close()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def take(self, other: Attachment) -> None:
        """Everything that *other* owns becomes this one's."""
        for ours, theirs in ((self.links, other.links), (self.events, other.events)):
            ours.extend(theirs)
            theirs.clear()
        self.undos.extend(other.undos)
        other.undos.clear()

    def leak(self) -> None:
        """Leave everything in place: descriptors stay open until the process ends, the other hooks for good."""
        for fd in (*self.links, *self.events):
            fd.detach()
        for undo in self.undos:
            undo.leak()
        self.links.clear()
        self.events.clear()
        self.undos.clear()


@contextlib.contextmanager
def building() -> Iterator[Attachment]:
    """An Attachment to fill; what was made so far is closed again if the block fails."""
    attachment = Attachment()
    try:
        yield attachment
    except BaseException:
        with contextlib.suppress(Exception):  # the failure that led here says more
            attachment.close()
        raise
