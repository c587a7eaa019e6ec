"""A process as it was when it was looked at: what is mapped where, and the files behind it, held open."""

from __future__ import annotations

import io
import os
import stat
import time
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final, cast, final

from aiobpf.errors import BpfError
from aiobpf.symbols.frame import Frame
from aiobpf.symbols.image_symbols import ImageSymbols
from aiobpf.symbols.mappings import parse_mappings, parse_vdso, read_mappings
from aiobpf.symbols.perf_map import read_perf_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiobpf.symbols.mappings import Mapping
    from aiobpf.symbols.table import SymbolTable

    Key = tuple[int, int, int, int]

_MAX_MAPPINGS: Final = 4096
_MAX_MISSED: Final = 4096
_REREAD_S: Final = 1.0
_PAGE: Final = 12
# Memory with a name and no ELF file behind it, as a rule: JITs write their code there (.NET's double mapping).
_ANONYMOUS: Final = ("/memfd:", "/dev/zero", "/anon_hugepage", "/SYSV")


def start_time(pid: int) -> int | None:
    """When process *pid* began, in clock ticks since boot: with the pid, it names a process for good. None if gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


@final
class Process:
    """The executable mappings of a process, at one moment, the first 4096 of them.

    It holds the keys of files, not their symbols: those are kept, and forgotten, for all processes together.
    """

    __slots__ = (
        "_jit",
        "_keys",
        "_mappings",
        "_missed",
        "_read_at",
        "_starts",
        "_vdso",
        "executable",
        "pid",
        "started",
    )

    def __init__(self, pid: int, keep: Callable[[Mapping, int], Key | None]) -> None:
        """Reads everything now: the process may be gone when its stacks are looked at. KernelError: ENOENT, EACCES.

        *keep* opens the file of a mapping, if it can be, and tells its key.
        """
        text = read_mappings(pid)
        self.pid = pid
        self.started = start_time(pid)
        self.executable = executable_of(pid)
        executable = (each for each in parse_mappings(text) if each.is_executable)
        self._mappings = sorted(islice(executable, _MAX_MAPPINGS), key=lambda each: each.start)
        self._starts = [each.start for each in self._mappings]
        self._keys = [keep(each, pid) for each in self._mappings]
        self._jit: SymbolTable | None = read_perf_map(pid)
        self._vdso = parse_vdso(text)
        self._missed: set[int] = set()
        self._read_at = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is mapped: a process that is ending."""
        return not self._mappings

    def maps_what(self, other: Process) -> bool:
        """Whether it maps what *other* does."""
        return self._mappings == other._mappings

    def has(self, address: int) -> bool:
        """Whether a file, or the JIT's map, is known there."""
        if self._vdso is not None and address in self._vdso:
            return True
        if self._jit is not None and self._jit.at(address) is not None:
            return True
        index = self._at(address)
        return index is not None and not self._mappings[index].path.startswith(_ANONYMOUS)

    def is_outdated(self, addresses: Iterable[int]) -> bool:
        """Whether *addresses*, which it has not all, are a reason to read it again.

        Stacks of code without frame pointers are full of addresses that nothing is at: a page that was looked for in
        vain is one again after a second.
        """
        pages = {address >> _PAGE for address in addresses if not self.has(address)}
        is_new = not pages <= self._missed or time.monotonic() - self._read_at > _REREAD_S
        return bool(pages) and is_new

    def missed(self, addresses: Iterable[int]) -> None:
        """Remember which of *addresses* it has not."""
        if len(self._missed) > _MAX_MISSED:
            self._missed.clear()
        self._missed.update(address >> _PAGE for address in addresses if not self.has(address))

    def _at(self, address: int) -> int | None:
        index = bisect_right(self._starts, address) - 1
        return index if index >= 0 and address < self._mappings[index].end else None

    def frame(
        self,
        address: int,
        lookup: int,
        image_of: Callable[[Mapping, int, Key | None], ImageSymbols],
        vdso: Callable[[], ImageSymbols | None],
    ) -> Frame:
        """The frame at *address*, whose function is looked up at *lookup*."""
        index = self._at(lookup)
        if index is None and self._vdso is not None and lookup in self._vdso and (image := vdso()) is not None:
            inside = image.at(lookup - self._vdso.start)
            name, offset = inside or ("", 0)
            return Frame(address, name, offset + address - lookup, "[vdso]", address - self._vdso.start)
        jit = None if self._jit is None else self._jit.at(lookup)
        if jit is not None and (index is None or self._mappings[index].path.startswith(_ANONYMOUS)):
            return Frame(address, jit[0], jit[1] + address - lookup, "[jit]")
        if index is None:
            return Frame(address, problem="no file is mapped there")
        mapping = self._mappings[index]
        image = image_of(mapping, self.pid, self._keys[index])
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
            if not stat.S_ISREG(os.stat(path).st_mode):  # opening a device may do something
                continue
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
    try:
        place = parse_vdso(read_mappings(None))
    except BpfError:
        return None
    if place is None:
        return None
    try:
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(place.start)
            return ImageSymbols(cast("BinaryIO", io.BytesIO(memory.read(len(place)))), "[vdso]")
    except OSError:
        return None
