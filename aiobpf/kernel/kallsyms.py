"""The kernel's symbols."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import final

from attrs import frozen

from aiobpf.errors import BpfError

_PATH = Path("/proc/kallsyms")


@frozen
class Symbol:
    name: str
    address: int
    kind: str
    """As nm has it: T and t text, D and d data, W weak ..."""
    module: str | None
    """None for the kernel itself; "bpf" for programs."""


@final
class Kallsyms:
    """/proc/kallsyms at one moment; some 100,000 lines, read in about 50 ms: keep it for as long as it is good.

    Addresses are all 0 for readers without CAP_SYSLOG (kernel.kptr_restrict): `has_addresses` tells.
    """

    def __init__(self, text: bytes) -> None:
        self._lines = text.splitlines()

    @classmethod
    def read(cls, path: Path = _PATH) -> Kallsyms:
        return cls(path.read_bytes())

    @cached_property
    def _by_name(self) -> dict[bytes, list[int]]:
        index: dict[bytes, list[int]] = {}
        for number, line in enumerate(self._lines):
            fields = line.split(None, 3)
            if len(fields) >= 3:
                index.setdefault(fields[2], []).append(number)
        return index

    @cached_property
    def _by_address(self) -> tuple[list[int], list[int]]:
        pairs = sorted((int(line.split(None, 1)[0], 16), number) for number, line in enumerate(self._lines) if line)
        return [address for address, _ in pairs], [number for _, number in pairs]

    @cached_property
    def has_addresses(self) -> bool:
        return any(not line.startswith(b"0" * 8 + b"0" * 8) for line in self._lines[:64])

    def __contains__(self, name: str) -> bool:
        return name.encode() in self._by_name

    def function_names(self) -> set[str]:
        """The names of all functions (types t, T, w and W)."""
        functions = set()
        for line in self._lines:
            fields = line.split(None, 3)
            if len(fields) >= 3 and fields[1] in b"tTwW":
                functions.add(fields[2].decode(errors="replace"))
        return functions

    def lookup(self, name: str, *, module: str | None = None) -> list[Symbol]:
        """Every symbol of that name (static functions share names), or of that name in one module."""
        found = [self._symbol(number) for number in self._by_name.get(name.encode(), ())]
        return found if module is None else [symbol for symbol in found if symbol.module == module]

    def address_of(self, name: str) -> int:
        """The one address of *name*: for ksym externs. BpfError if it is not there, ambiguous or hidden."""
        addresses = {symbol.address for symbol in self.lookup(name)}
        if not addresses:
            raise BpfError(f"the kernel has no symbol {name!r}")
        if len(addresses) > 1:
            raise BpfError(f"the kernel has {len(addresses)} symbols {name!r}")
        address = addresses.pop()
        if not address:
            raise BpfError(f"the address of {name!r} is hidden: reading /proc/kallsyms needs CAP_SYSLOG")
        return address

    def at(self, address: int) -> tuple[Symbol, int] | None:
        """The symbol that *address* lies in, as far as the next one tells, and the offset into it."""
        addresses, numbers = self._by_address
        index = bisect_right(addresses, address) - 1
        if index < 0 or not addresses[index]:
            return None
        return self._symbol(numbers[index]), address - addresses[index]

    def _symbol(self, number: int) -> Symbol:
        fields = self._lines[number].split()
        module = fields[3].strip(b"[]").decode() if len(fields) > 3 else None
        return Symbol(
            fields[2].decode(errors="replace"), int(fields[0], 16), fields[1].decode(errors="replace"), module
        )
