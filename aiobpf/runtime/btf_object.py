"""BTF in the kernel: its own, that of its modules, and what programs and maps were loaded with."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from aiobpf import kernel
from aiobpf.errors import ClosedError
from aiobpf.kernel.loaded_btf import read_btf_object
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime.all_objects import AllObjects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from aiobpf.btf import Btf
    from aiobpf.kernel import BtfInfo, KernelBtfCache, OwnedFd


@final
class BtfObject:
    """A BTF object, and the one owner of its fd. It lives while a program, a map, a module or a descriptor needs it."""

    __slots__ = ("_fd", "info")

    def __init__(self, fd: OwnedFd, info: BtfInfo) -> None:
        self._fd = fd
        self.info = info
        """What the kernel says of it; it does not change. Its ``data`` is empty: see `types`."""

    @staticmethod
    def ids() -> Iterator[int]:
        """The ids of all BTF objects in the kernel, rising; they come and go meanwhile. CAP_SYS_ADMIN."""
        return kernel.all_ids(kernel.ObjectKind.BTF)

    @classmethod
    def all(cls, *, after: int = 0) -> AllObjects[BtfObject]:
        """``async for btf in BtfObject.all():`` opens each of the kernel's (with an id above *after*); who gets it
        closes it."""
        return AllObjects(kernel.ObjectKind.BTF, cls.from_fd, BtfObject.close, after)

    @classmethod
    def from_id(cls, id: int) -> BtfObject:  # noqa: A002 - the field's own word
        """The kernel's BTF object of that id; FileNotFoundError (ENOENT) if there is none."""
        return cls.from_fd(kernel.btf_by_id(id))

    @classmethod
    def from_fd(cls, fd: OwnedFd) -> BtfObject:
        """One that is open already; it owns *fd* from here on, also if this fails."""
        try:
            return cls(fd, kernel.btf_info(fd))
        except BaseException:
            fd.close()
            raise

    @property
    def id(self) -> int:
        return self.info.id

    @property
    def name(self) -> str:
        """ "vmlinux", the name of a module, or "" for one that a process loaded."""
        return self.info.name

    @property
    def is_kernel(self) -> bool:
        """Whether it is the kernel's own or a module's."""
        return self.info.is_kernel

    async def types(self, *, btf_cache: KernelBtfCache | None = None) -> Btf:
        """Its types; a module's add to those of vmlinux, which come from *btf_cache* (None: the process's)."""
        return await in_worker(lambda: read_btf_object(self.fileno(), btf_cache=btf_cache))

    def fileno(self) -> int:
        """Its fd; ClosedError once it is closed."""
        if self._fd.is_closed:
            raise ClosedError(f"BTF object {self.id} is closed")
        return self._fd.fileno()

    @property
    def is_closed(self) -> bool:
        return self._fd.is_closed

    def close(self) -> None:
        """Close without waiting on the event loop; prefer `aclose`."""
        self._fd.close()

    async def aclose(self) -> None:
        """Close it; idempotent."""
        if not self._fd.is_closed:
            await kernel.close_in_worker(self._fd)

    async def __aenter__(self) -> BtfObject:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        closed = "closed " if self.is_closed else ""
        return f"<{closed}BtfObject {self.id}{f' {self.name!r}' if self.name else ''}>"
