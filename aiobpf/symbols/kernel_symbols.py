"""The functions of the kernel, of its modules and of BPF programs, by address."""

from __future__ import annotations

import errno
import time
from bisect import bisect_right
from pathlib import Path
from typing import final

from aiobpf.errors import kernel_error
from aiobpf.symbols.frame import Frame
from aiobpf.symbols.table import SymbolTable

_PATH = Path("/proc/kallsyms")
_REREAD_S = 1.0
_TEXT = frozenset(b"tTwW")


@final
class KernelSymbols:
    """/proc/kallsyms as it was read, and is read again when an address of a module or program is not found: they come
    and go. Everything here blocks; reading takes about 150 ms."""

    __slots__ = ("_bases", "_modules", "_path", "_read_at", "_table")

    def __init__(self, path: Path = _PATH) -> None:
        self._path = path
        self._read_at = -_REREAD_S
        self._table = SymbolTable([])
        self._bases: list[int] = []
        self._modules: list[str] = []

    def frames(self, addresses: list[int], lookups: list[int]) -> list[Frame]:
        """A frame for each of *addresses*, looked up at the address of the same place in *lookups*.

        KernelError (EPERM) where the kernel hides its addresses.
        """
        if not len(self._table):
            self._read()
        found = [self._frame(address, lookup) for address, lookup in zip(addresses, lookups, strict=True)]
        if any(frame.problem for frame in found) and time.monotonic() - self._read_at > _REREAD_S:
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

    def _read(self) -> None:
        self._read_at = time.monotonic()
        rows: list[tuple[int, bytes, bytes]] = []
        hidden = 0
        with self._path.open("rb") as lines:
            for line in lines:
                fields = line.split()
                if len(fields) < 3 or fields[1][0] not in _TEXT:
                    continue
                try:
                    address = int(fields[0], 16)
                except ValueError:  # not what the kernel writes
                    continue
                if not address:
                    hidden += 1
                    continue
                rows.append((address, fields[2], fields[3].strip(b"[]") if len(fields) > 3 else b"kernel"))
        if hidden > len(rows):
            raise kernel_error(errno.EPERM, "reading", "the addresses in /proc/kallsyms", "It takes CAP_SYSLOG")
        rows.sort()
        # Where one of the modules, or the kernel, begins: its name need not be held a hundred thousand times.
        self._bases, self._modules = [], []
        for address, _, module in rows:
            name = module.decode(errors="replace")
            if not self._modules or self._modules[-1] != name:
                self._bases.append(address)
                self._modules.append(name)
        self._table = SymbolTable((address, 0, name) for address, name, _ in rows)
