"""Memory that is shared with the kernel through a descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf.errors import ClosedError, kernel_error

if TYPE_CHECKING:
    from aiobpf._native._lib import CData, View
    from aiobpf.kernel.fd import OwnedFd

_unmap = lib.memory_unmap


@final
class MappedMemory:
    """*length* bytes from *offset* of what *fd* is, mapped shared until `close`, or until nobody refers to this.

    `address` is for the C unit alone: whoever passes it on makes sure that this is not closed meanwhile. Closing the
    descriptor does not unmap. KernelError (EPERM, EINVAL, ENOMEM) names *what*.
    """

    __slots__ = ("__weakref__", "_address", "length", "what")

    def __init__(self, fd: OwnedFd, length: int, *, offset: int = 0, writable: bool = False, what: str = "") -> None:
        self._address: CData | None = None
        self.length = length
        self.what = what or fd.what
        cell = ffi.new("void **")
        error = lib.memory_map(fd.fileno(), offset, length, writable, cell)
        if error:
            raise kernel_error(-error, "mmap", self.what)
        self._address = cell[0]

    @property
    def address(self) -> CData:
        if self._address is None:
            raise ClosedError(f"{self.what} is no longer mapped")
        return self._address

    def close(self) -> None:
        """Unmap it; a second time, nothing."""
        address, self._address = self._address, None
        if address is not None:
            _unmap(address, self.length)

    def __del__(self) -> None:
        if getattr(self, "_address", None) is not None:  # unset where __init__ failed
            self.close()


def map_shared(fd: OwnedFd, length: int, *, offset: int = 0, writable: bool = False, what: str = "") -> View:
    """*length* bytes from *offset* of what *fd* is, as a buffer that unmaps itself when nobody refers to it any more.

    Nothing can be left to point at memory that is gone: every memoryview of the buffer keeps it mapped, whichever
    thread has it. No descriptor is kept (mmap.mmap keeps a second one). Where it is not *writable*, writing to the
    buffer ends the process: hand out only a memoryview that is read-only. KernelError (EPERM, EACCES, EINVAL, ENODEV,
    ENOMEM) names *what*.
    """
    cell = ffi.new("void **")
    error = lib.memory_map(fd.fileno(), offset, length, writable, cell)
    if error:
        raise kernel_error(-error, "mmap", what or fd.what)
    return ffi.buffer(ffi.gc(cell[0], lambda address: _unmap(address, length)), length)


def map_shared_at(fd: OwnedFd, address: int, length: int, *, what: str = "") -> tuple[View, int]:
    """`map_shared`, writable, at *address* (0: anywhere), and where it is. KernelError EEXIST: something is there."""
    cell = ffi.new("void **")
    error = lib.memory_map_at(fd.fileno(), address, length, cell)
    if error:
        raise kernel_error(-error, "mmap", what or fd.what)
    view = ffi.buffer(ffi.gc(cell[0], lambda mapped: _unmap(mapped, length)), length)
    return view, int(ffi.cast("uintptr_t", cell[0]))


def read_memory(address: int, size: int, *, what: str = "memory") -> bytes:
    """*size* bytes of this process at *address*; KernelError EFAULT where there are none, which else ends a process."""
    room = ffi.new("uint8_t[]", max(size, 1))
    error = lib.memory_copy(room, address, size, 0)
    if error:
        raise kernel_error(-error, f"read of {size} bytes at {address:#x}", what)
    return ffi.buffer(room, size)[:]


def write_memory(address: int, data: bytes, *, what: str = "memory") -> None:
    """Put *data* at *address* of this process; KernelError EFAULT where there is no memory."""
    error = lib.memory_copy(ffi.from_buffer(data), address, len(data), 1)
    if error:
        raise kernel_error(-error, f"write of {len(data)} bytes at {address:#x}", what)
