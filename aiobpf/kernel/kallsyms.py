"""The kernel's symbols."""

from __future__ import annotations

import os
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

from attrs import frozen

from aiobpf.errors import BpfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    Invariant: any text gives answers; what is no symbol in it has no address.
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
        lines = enumerate(self._lines)
        try:
            pairs = sorted((int(line.split(None, 1)[0], 16), number) for number, line in lines if line)
        except (ValueError, IndexError):  # not what the kernel writes
            pairs = sorted((_address(line.split(None, 1)), number) for number, line in enumerate(self._lines))
        return [address for address, _ in pairs], [number for _, number in pairs]

    @cached_property
    def has_addresses(self) -> bool:
        return any(not line.startswith(b"0" * 8 + b"0" * 8) for line in self._lines[:64])

    def __contains__(self, name: str) -> bool:
        return _encoded(name) in self._by_name

    def names(self) -> frozenset[str]:
        """The names of all symbols."""
        return frozenset(name.decode(errors="replace") for name in self._by_name)

    def symbols(self) -> Iterator[Symbol]:
        """Every one, in the order of the file."""
        return (self._symbol(number) for number, line in enumerate(self._lines) if line.count(b" ") >= 2)

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
        found = [self._symbol(number) for number in self._by_name.get(_encoded(name), ())]
        return found if module is None else [symbol for symbol in found if symbol.module == module]

    def address_of(self, name: str) -> int:
        """The one address of *name*: for ksym externs. BpfError if it is not there, ambiguous or hidden."""
        addresses = {symbol.address for symbol in self.lookup(name)}
        if not addresses:
            raise BpfError(f"the kernel has no symbol {name!r}")
        return _only(name, addresses)

    def at(self, address: int) -> tuple[Symbol, int] | None:
        """The symbol that *address* lies in, as far as the next one tells, and the offset into it."""
        addresses, numbers = self._by_address
        index = bisect_right(addresses, address) - 1
        if index < 0 or not addresses[index]:
            return None
        return self._symbol(numbers[index]), address - addresses[index]

    def _symbol(self, number: int) -> Symbol:
        fields = self._lines[number].split()
        _, kind, name, *rest = (each.decode(errors="replace") for each in (*fields, b"", b"")[: max(len(fields), 3)])
        return Symbol(name, _address(fields), kind, rest[0].strip("[]") if rest else None)


def _encoded(name: str) -> bytes:
    return name.encode(errors="surrogateescape")  # names come from objects, too


def _address(fields: list[bytes]) -> int:
    try:
        return int(fields[0], 16) if fields else 0
    except ValueError:
        return 0


# Documentation/process/adding-syscalls.rst: where CONFIG_ARCH_HAS_SYSCALL_WRAPPER is set, a system call is a function
# of this name (and takes struct pt_regs).
WRAPPER_PREFIXES = {
    "x86_64": "__x64_sys_",
    "i386": "__ia32_sys_",
    "i686": "__ia32_sys_",
    "aarch64": "__arm64_sys_",
    "armv7l": "__arm_sys_",
    "s390x": "__s390x_sys_",
    "riscv64": "__riscv_sys_",
    "mips64": "__mips_sys_",
    "ppc64le": "__powerpc_sys_",
    "ppc64": "__powerpc_sys_",
}


def syscall_wrapper_prefix() -> str | None:
    """What precedes a system call's name in its kernel function ("__x64_sys_"); None where this kernel has no wrappers.

    As libbpf: there are if the function of bpf(2) is called so. The machine is the kernel's, not the process's.
    """
    prefix = WRAPPER_PREFIXES.get(os.uname().machine)
    if prefix is None:
        return None
    return prefix if symbol_addresses([f"{prefix}bpf"]) else None


def has_syscall_wrapper() -> bool:
    """LINUX_HAS_SYSCALL_WRAPPER, for kconfig externs."""
    return syscall_wrapper_prefix() is not None


def symbol_addresses(names: Iterable[str], path: Path = _PATH) -> dict[str, set[int]]:
    """Every address of each of *names* that is there, in one reading of /proc/kallsyms (50 ms); no index is kept."""
    wanted = {_encoded(name) for name in names}
    found: dict[str, set[int]] = {}
    with path.open("rb") as lines:
        for line in lines:
            fields = line.split(None, 3)
            if len(fields) >= 3 and fields[2] in wanted:
                found.setdefault(fields[2].decode(errors="surrogateescape"), set()).add(_address(fields))
    return found


def symbol_address(name: str) -> int | None:
    """The one address of *name*, or None; BpfError where it is ambiguous or hidden. For many, `symbol_addresses`."""
    addresses = symbol_addresses([name]).get(name)
    return None if addresses is None else _only(name, addresses)


def _only(name: str, addresses: set[int]) -> int:
    if len(addresses) > 1:
        raise BpfError(f"the kernel has {len(addresses)} symbols {name!r}")
    (address,) = addresses
    if not address:
        raise BpfError(f"the address of {name!r} is hidden: reading /proc/kallsyms needs CAP_SYSLOG")
    return address
