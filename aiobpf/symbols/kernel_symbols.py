"""The functions of the kernel, of its modules and of BPF programs, by address."""

from __future__ import annotations

import errno
import time
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from aiobpf.errors import KernelError, kernel_error
from aiobpf.kernel.ids import ObjectKind, next_id
from aiobpf.symbols.frame import Frame
from aiobpf.symbols.table import SymbolTable

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH = Path("/proc/kallsyms")
_MODULES_PATH = Path("/proc/modules")
_CORE = "[kernel]"
# kallsyms has no sizes. The last function before another module's, or before nothing, ends somewhere: without a bound
# it would give its name to all that is loaded behind it later.
_LONGEST_FUNCTION: Final = 64 << 10
_LONGEST_PROGRAM: Final = 2 << 20  # BPF_PROG_PACK_SIZE is that at most; a longer program has its own pages
_REREAD_S = 1.0
_TEXT = frozenset(b"tTwW")


@final
class KernelSymbols:
    """/proc/kallsyms as it was read, and is read again for an address outside the kernel's own code when modules,
    programs or links have come since: the address may be theirs, whatever was there before. Everything here blocks;
    reading takes about 150 ms, asking what has come some microseconds."""

    __slots__ = ("_bases", "_loaded", "_modules", "_newest", "_path", "_read_at", "_table")

    def __init__(self, path: Path = _PATH) -> None:
        self._path = path
        self._read_at = -_REREAD_S
        self._table = SymbolTable([])
        self._bases: list[int] = []
        self._modules: list[str] = []
        self._newest = {ObjectKind.PROGRAM: 0, ObjectKind.LINK: 0}
        """The highest id of each kind: programs are functions, and links have trampolines."""
        self._loaded = b""
        """/proc/modules."""

    def frames(self, addresses: list[int], lookups: list[int]) -> list[Frame]:
        """A frame for each of *addresses*, looked up at the address of the same place in *lookups*.

        KernelError (EPERM) where the kernel hides its addresses.
        """
        if not len(self._table):
            self._read()
        found = [self._frame(address, lookup) for address, lookup in zip(addresses, lookups, strict=True)]
        if any(frame.binary != _CORE for frame in found) and self._is_outdated():
            self._read()
            found = [self._frame(address, lookup) for address, lookup in zip(addresses, lookups, strict=True)]
        return found

    def _frame(self, address: int, lookup: int) -> Frame:
        found = self._table.at(lookup)
        if found is None:
            return Frame(address, problem="no symbol of the kernel reaches this address")
        name, offset = found
        module = self._modules[bisect_right(self._bases, lookup - offset) - 1]
        return Frame(address, name, offset + address - lookup, f"[{module}]")

    def _is_outdated(self) -> bool:
        """Whether anything has come since kallsyms was read; where that is not told, whether that is long ago."""
        try:
            return any(next_id(kind, newest) is not None for kind, newest in self._newest.items()) or (
                _modules() != self._loaded
            )
        except KernelError:
            return time.monotonic() - self._read_at > _REREAD_S

    def _look_around(self) -> None:
        self._loaded = _modules()
        try:
            for kind in self._newest:
                while (newer := next_id(kind, self._newest[kind])) is not None:
                    self._newest[kind] = newer
        except KernelError:
            pass  # `_is_outdated` meets it again

    def _read(self) -> None:
        self._read_at = time.monotonic()
        self._look_around()  # first: what comes while the file is read is met again
        rows: list[tuple[int, bytes, bytes]] = []
        hidden = 0
        for row in _functions(self._path):
            if row[0]:
                rows.append(row)
            else:
                hidden += 1
        if hidden > len(rows):
            raise kernel_error(errno.EPERM, "reading", "the addresses in /proc/kallsyms", "It takes CAP_SYSLOG")
        rows.sort()
        # Where one of the modules, or the kernel, begins: its name need not be held a hundred thousand times.
        self._bases, self._modules = [], []
        sizes: dict[int, int] = {}  # of the last function of each module, at most
        for index, (address, _, module) in enumerate(rows):
            following = rows[index + 1] if index + 1 < len(rows) else (1 << 64, b"", b"")
            if following[2] != module:
                longest = _LONGEST_PROGRAM if module == b"bpf" else _LONGEST_FUNCTION
                sizes[index] = min(longest, following[0] - address)
            name = module.decode(errors="replace")
            if not self._modules or self._modules[-1] != name:
                self._bases.append(address)
                self._modules.append(name)
        self._table = SymbolTable((address, sizes.get(index, 0), name) for index, (address, name, _) in enumerate(rows))


def _functions(path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Address, name and module of each function; an address of 0 is a hidden one. KernelError where it is not there."""
    try:
        with path.open("rb") as lines:
            for line in lines:
                fields = line.split()
                if len(fields) < 3 or fields[1][0] not in _TEXT:
                    continue
                try:
                    address = int(fields[0], 16)
                except ValueError:  # not what the kernel writes
                    continue
                yield address, fields[2], fields[3].strip(b"[]") if len(fields) > 3 else b"kernel"
    except OSError as error:
        raise kernel_error(error.errno or errno.EIO, "reading", str(path)) from error


def _modules() -> bytes:
    try:
        # Without what counts: how often a module is in use says nothing of where it is.
        rows = [line.split() for line in _MODULES_PATH.read_bytes().splitlines()]
    except OSError:  # a kernel without modules
        return b""
    return b" ".join(row[0] + row[-1] if len(row) < 6 else row[0] + row[5] for row in rows if row)
