"""A program hanging on a hook."""

from __future__ import annotations

import errno
import os
import warnings
from typing import TYPE_CHECKING, final

from aiobpf import kernel
from aiobpf.errors import ClosedError, KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel.worker import close_in_worker, in_worker
from aiobpf.link.attachment import Attachment, Replaceable, building
from aiobpf.link.unpinned import ClosesAfterUnpin
from aiobpf.runtime.all_objects import AllObjects
from aiobpf.runtime.map_handle import MapHandle
from aiobpf.uapi import LinkType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from aiobpf.kernel import LinkInfo, OwnedFd
    from aiobpf.runtime.map import Map
    from aiobpf.runtime.program import Program

# Those whose kernel side has an update_prog operation (7.3). The others answer EINVAL to every BPF_LINK_UPDATE, as
# these do to a program that does not fit.
_UPDATABLE = {
    LinkType.CGROUP,
    LinkType.ITER,
    LinkType.NETNS,
    LinkType.XDP,
    LinkType.NETFILTER,
    LinkType.TCX,
    LinkType.NETKIT,
    LinkType.SOCKMAP,
    LinkType.STRUCT_OPS,
}


@final
class Link:
    """A program hanging on a hook; it hangs there until this is closed, detached or leaked.

    Made by ``program.attach(kind)``, or by `from_pin`. Three verbs for three ends:

    - `aclose` lets go of it: the hook is free when it returns, unless the link is pinned or open elsewhere;
    - `detach` takes the program off the hook for everyone, pinned or not;
    - `leak` leaves it in place for as long as this process lives.

    Closing returns once the kernel has let go (tens of ms for a tracepoint: it waits for RCU), hence async.
    docs/links.md has a table of what survives a close, a crash and a pin.
    """

    __slots__ = ("__weakref__", "_attachment", "_pin", "_was_unpinned", "_what", "kind", "program_name")

    def __init__(self, kind: object, program_name: str, attachment: Attachment, *, what: str = "program") -> None:
        """Kinds make links; *kind* is the data that says where this one hangs, *what* that it is a map that hangs."""
        self._attachment: Attachment | None = None  # first: __del__ looks at it even if the rest fails
        self.kind = kind
        self.program_name = program_name
        self._what = what
        self._pin: str | None = None
        self._was_unpinned = False
        self._attachment = attachment

    @classmethod
    async def from_pin(cls, path: str | PathLike[str]) -> Link:
        """The link pinned at *path* in a bpffs. Its program stays attached when this is closed: `unpin` it before.

        Raises KernelError (ENOENT, EINVAL for what is no bpffs), SpecError for a pinned map or program.
        """
        return await in_worker(_open_pinned, os.fspath(path), dispose=_close)

    @staticmethod
    def ids() -> Iterator[int]:
        """The ids of all links in the kernel, rising; they come and go meanwhile. CAP_SYS_ADMIN."""
        return kernel.all_ids(kernel.ObjectKind.LINK)

    @classmethod
    def all(cls, *, after: int = 0) -> AllObjects[Link]:
        """``async for link in Link.all():`` opens each of the kernel's links (with an id above *after*); who gets it
        closes it, and its program stays attached where another holds it. A program without a link (an ioctl, netlink)
        is not among them."""
        return AllObjects(kernel.ObjectKind.LINK, _opened, _close, after)

    @classmethod
    async def from_id(cls, id: int) -> Link:  # noqa: A002 - the field's own word
        """The kernel's link of that id. Closing it leaves the program attached where another holds the link.

        Raises NoSuchObjectError (ENOENT), MissingPrivilegeError without CAP_SYS_ADMIN.
        """
        return await in_worker(lambda: _opened(kernel.link_by_id(id)), dispose=_close)

    @classmethod
    async def from_fd(cls, fd: OwnedFd) -> Link:
        """A link that is open already; it owns *fd* from here on, also if this fails."""
        # Shielded: cancelled before it began, nobody would close the descriptor.
        return await in_worker(_opened, fd, dispose=_close, shield=True)

    # --- lifetime -----------------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether it was closed or leaked."""
        return self._attachment is None

    @property
    def pinned_at(self) -> str | None:
        """The path where this object pinned it, or found it pinned."""
        return self._pin

    def fileno(self) -> int:
        """The bpf link's descriptor. ClosedError once closed; NotSupportedError where it has none, or several."""
        return self._fd().fileno()

    async def aclose(self) -> None:
        """Let go of the hook; idempotent. When it returns the kernel has let go too (see the class for the exceptions).

        A cancelled wait does not stop it: the worker thread owns the descriptors from the start.
        """
        attachment, self._attachment = self._attachment, None
        if attachment is not None:
            await close_in_worker(ClosesAfterUnpin(attachment) if self._was_unpinned else attachment)

    def leak(self) -> None:
        """Give up ownership, leaving the program attached until this process ends.

        A program on a cgroup without a link (`CgroupMode.MULTI` and its kin), or on a tracefs event, stays even longer.
        """
        attachment, self._attachment = self._owned(), None
        attachment.leak()

    def __del__(self) -> None:
        attachment: Attachment | None = getattr(self, "_attachment", None)
        if attachment is None:
            return
        message = f"{self!r} was never closed"
        self._attachment = None
        try:
            attachment.close()
        finally:  # last, as it raises where warnings are errors
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- use ----------------------------------------------------------------------------------------------------------

    async def update(self, program: Program | Map, *, expected: Program | Map | None = None) -> None:
        """Put *program* in the place of the one that hangs there, with no moment between without either.

        With *expected*, only if that is the one that hangs there now: KernelError (EPERM, or EEXIST without a bpf link)
        says that it is not.

        A link of struct_ops takes another struct_ops map, which has one too (BPF_F_LINK) and, for most structs, the
        same name in it. KernelError: EINVAL where it does not fit.

        Raises NotSupportedError for a kind that the kernel cannot update: tracing kinds, and hooks without a link.
        """
        await in_worker(self._update, program, expected)
        self.program_name = program.name

    def _update(self, program: Program | Map, expected: Program | Map | None) -> None:
        attachment = self._owned()
        subject = f"{self!r} to {program.name!r}"
        if not attachment.links and len(attachment.undos) == 1 and isinstance(attachment.undos[0], Replaceable):
            attachment.undos[0].replace(program, expected, subject)
            return
        fd = self._fd()
        is_map = isinstance(program, MapHandle)
        if is_map != (self._what == "map"):
            needed = "a program" if is_map else "a struct_ops map"
            raise SpecError(f"{self!r} is updated with {needed}, not with {program!r}")
        try:
            kernel.link_update(fd, program.fileno(), expected=expected, subject=subject)
        except KernelError as error:
            if error.errno == errno.EPERM and expected is not None:
                hint = f"Another program than {expected.name!r} hangs there"
                raise KernelError(errno.EPERM, error.operation, subject, hint) from error
            if error.errno == errno.EINVAL and _type_of(fd) not in _UPDATABLE:
                raise NotSupportedError(
                    f"{self!r} cannot be updated: no kernel swaps the program of such a link",
                    hint="Attach the new program, then close this link",
                ) from error
            raise

    def open(self) -> OwnedFd:
        """A new iterator of an `Iter` link, to read the objects from their beginning; the caller closes it.

        `aiobpf.stream.Rows` takes the link and does this itself. Raises KernelError (EINVAL for links of other kinds).
        """
        return kernel.iter_create(self._fd(), subject=f"an iterator of {self!r}")

    async def detach(self) -> None:
        """Take the program off the hook now, even if the link is pinned or open elsewhere; then still close this.

        Raises NotSupportedError for kinds that the kernel lets go of only with their last descriptor (tracing kinds).
        """
        await in_worker(self._detach)

    def _detach(self) -> None:
        attachment = self._owned()
        for link in attachment.links:
            try:
                kernel.link_detach(link, subject=repr(self))
            except KernelError as error:
                # EINVAL: BPF_LINK_DETACH itself is since 5.9 (73b11c2ab072).
                if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                    raise
                raise NotSupportedError(
                    f"{self!r} cannot be detached by force: the kernel lets go of it with its last descriptor",
                    hint="Unpin it and close it",
                ) from error
        if not attachment.links:
            attachment.close()

    def pin(self, path: str | PathLike[str]) -> None:
        """Give the link a name in a bpffs: the program stays attached until it is removed, whatever becomes of this
        process.

        Raises KernelError (EPERM or EINVAL where *path* is in no bpffs, EEXIST), NotSupportedError where there is not
        one bpf link to pin.
        """
        where = os.fspath(path)
        kernel.pin(self._fd(), where, subject=repr(self))
        self._pin = where

    def unpin(self) -> None:
        """Remove the name that `pin` gave, or `from_pin` found; does nothing without one.

        This object still holds the link, so that `aclose` after it returns when the hook is free. (Removing the file
        without holding the link leaves the detaching to a kernel work queue, some time later.)
        """
        self._owned()
        where, self._pin = self._pin, None
        if where is None:
            return
        self._was_unpinned = True
        try:
            os.unlink(where)
        except FileNotFoundError:
            return
        except OSError as error:
            self._pin = where
            raise kernel_error(error.errno or errno.EIO, "unlink", f"{self!r} pinned at {where!r}") from error

    async def info(self) -> LinkInfo:
        """What the kernel says of the link: its id, type, program id, and what its type adds.

        In a worker thread, since an XDP link waits for the lock of the whole network configuration to tell.
        """
        return await in_worker(lambda: kernel.link_info(self._fd()))

    def take_over(self, other: Link) -> Attachment:
        """Go on as *other*, which hangs in the same place and becomes closed by this; what this one was is the caller's
        to close. Its pin stays where it is, with what it was."""
        attachment, other._attachment = other._owned(), None
        mine, self._attachment = self._owned(), attachment
        self.program_name = other.program_name
        return mine

    def renamed_pin(self, path: str) -> None:
        """The pin that `pin` gave has the name *path* now."""
        self._pin = path

    # --- inside -------------------------------------------------------------------------------------------------------

    def _owned(self) -> Attachment:
        if self._attachment is None:
            raise ClosedError(f"{self!r} is closed")
        return self._attachment

    def _fd(self) -> OwnedFd:
        links = self._owned().links
        if len(links) == 1:
            return links[0]
        what = (
            f"{len(links)} links, one a place, CPU or thread"
            if links
            else "no bpf link (this kernel or mode attaches without one)"
        )
        raise NotSupportedError(f"{self!r} has {what}")

    def __repr__(self) -> str:
        closed = " closed" if self._attachment is None else ""
        return f"<Link{closed} of {self._what} {self.program_name!r} on {self.kind}>"


async def make_link(kind: object, program: Program, attach: Callable[[Program], Attachment]) -> Link:
    """Run *attach* in a worker thread; what it makes is closed again if nobody waits for it any more."""
    link = await in_worker(lambda: Link(kind, program.name, attach(program)), dispose=_close)
    program.links.add(link)
    return link


async def make_map_link(kind: object, map_: Map, attach: Callable[[Map], Attachment]) -> Link:
    """`make_link` for what hangs a map."""
    link = await in_worker(lambda: Link(kind, map_.name, attach(map_), what="map"), dispose=_close)
    map_.links.add(link)
    return link


def _close(link: Link) -> None:
    attachment, link._attachment = link._attachment, None
    if attachment is not None:
        attachment.close()


def _open_pinned(path: str) -> Link:
    with building() as attachment:
        fd = kernel.open_pin(path)
        attachment.links.append(fd)
        # The kernel answers BPF_OBJ_GET_INFO_BY_FD for a map or program as well, with fields that mean something else.
        found = kernel.kind_of_fd(fd)
        if found is not kernel.ObjectKind.LINK:
            raise SpecError(f"{path!r} is no link but a {found.name.lower() if found else 'file of another kind'}")
        info = kernel.link_info(fd, subject=f"pin {path!r}")
    link = _described(f"pin {path!r}", info, attachment)
    link._pin = path
    return link


def _opened(fd: OwnedFd) -> Link:
    with building() as attachment:
        attachment.links.append(fd)
        found = kernel.kind_of_fd(fd)
        if found not in {kernel.ObjectKind.LINK, None}:
            raise SpecError(f"{fd!r} is no link")
        info = kernel.link_info(fd, subject=fd.what)
    return _described(f"{info.type.name} link {info.id}", info, attachment)


def _described(kind: str, info: LinkInfo, attachment: Attachment) -> Link:
    if info.type == LinkType.STRUCT_OPS:
        return Link(kind, f"id {info.map_id}", attachment, what="map")
    return Link(kind, f"id {info.program_id}", attachment)


def _type_of(fd: OwnedFd) -> int:
    return kernel.link_info(fd).type
