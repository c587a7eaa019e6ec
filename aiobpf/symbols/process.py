"""A process as it was when it was looked at: what is mapped where, and the files behind it, held open."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from typing import TYPE_CHECKING, BinaryIO, cast, final

from aiobpf.symbols.frame import Frame
from aiobpf.symbols.image_symbols import ImageSymbols
from aiobpf.symbols.mappings import file_mappings, vdso_range
from aiobpf.symbols.perf_map import read_perf_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.symbols.mappings import Mapping
    from aiobpf.symbols.table import SymbolTable

    Key = tuple[int, int, int, int]


def start_time(pid: int) -> int | None:
    """When process *pid* began, in clock ticks since boot: with the pid, it names a process for good. None if gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


@final
class Process:
    """The executable mappings of a process, at one moment. *image_of* gives the symbols of a file that is open."""

    __slots__ = ("_images", "_jit", "_mappings", "_starts", "_vdso", "executable", "pid", "started")

    def __init__(self, pid: int, image_of: Callable[[Mapping, int], ImageSymbols]) -> None:
        """Reads everything now: the process may be gone when its stacks are looked at. KernelError: ENOENT, EACCES."""
        self.pid = pid
        self.started = start_time(pid)
        self.executable = executable_of(pid)
        self._mappings = sorted(
            (each for each in file_mappings(pid) if each.is_executable), key=lambda each: each.start
        )
        self._starts = [each.start for each in self._mappings]
        self._images = [image_of(each, pid) for each in self._mappings]
        self._jit: SymbolTable | None = read_perf_map(pid)
        self._vdso = vdso_range(pid)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is mapped: a process that is ending."""
        return not self._mappings

    def has(self, address: int) -> bool:
        """Whether a file, or the JIT's map, is known there."""
        if self._vdso is not None and address in self._vdso:
            return True
        return self._at(address) is not None or (self._jit is not None and self._jit.at(address) is not None)

    def _at(self, address: int) -> int | None:
        index = bisect_right(self._starts, address) - 1
        return index if index >= 0 and address < self._mappings[index].end else None

    def frame(self, address: int, lookup: int, vdso: Callable[[], ImageSymbols | None]) -> Frame:
        """The frame at *address*, whose function is looked up at *lookup*."""
        index = self._at(lookup)
        if index is None and self._vdso is not None and lookup in self._vdso and (image := vdso()) is not None:
            inside = image.at(lookup - self._vdso.start)
            name, offset = inside or ("", 0)
            return Frame(address, name, offset + address - lookup, "[vdso]", address - self._vdso.start)
        if index is None:
            found = None if self._jit is None else self._jit.at(lookup)
            if found is None:
                return Frame(address, problem="no file is mapped there")
            return Frame(address, found[0], found[1] + address - lookup, "[jit]")
        mapping, image = self._mappings[index], self._images[index]
        file_offset = lookup - mapping.start + mapping.offset
        symbol = image.at(file_offset)
        shift = address - lookup
        if symbol is None:
            problem = image.problem or "no symbol of the file reaches this address"
            return Frame(address, "", 0, image.path, file_offset + shift, image.build_id, problem)
        return Frame(address, symbol[0], symbol[1] + shift, image.path, file_offset + shift, image.build_id)


def executable_of(pid: int) -> tuple[int, int] | None:
    """The device and inode of what process *pid* runs: another one after exec."""
    try:
        told = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return told.st_dev, told.st_ino


def open_mapped(mapping: Mapping, pid: int) -> tuple[BinaryIO, Key] | None:
    """The very file of a mapping, and what tells it from others; None where it cannot be opened any more.

    By map_files, which a deleted or replaced file is still reached by; then by its path in the process's own root.
    """
    for path in (f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}", f"/proc/{pid}/root{mapping.path}"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            continue
        told = os.fstat(fd)
        if told.st_ino != mapping.inode and "/root" in path:  # another file has the name by now
            os.close(fd)
            continue
        return open(fd, "rb"), (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns)
    return None


def own_vdso() -> ImageSymbols | None:
    """The functions of the kernel's code for user space, from this process's: it is the same file in every one."""
    place = vdso_range(os.getpid())
    if place is None:
        return None
    try:
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(place.start)
            return ImageSymbols(cast("BinaryIO", io.BytesIO(memory.read(len(place)))), "[vdso]")
    except OSError:
        return None
