"""Map elements: ``table[key]``, ``table.items_lookup_batch()``."""

from __future__ import annotations

import ctypes as ct
import errno
from typing import TYPE_CHECKING

from benchmarks.peers.bcc_ctypes.library import lib
from benchmarks.stopwatch import Stopwatch

if TYPE_CHECKING:
    from benchmarks.commands import Arguments

CHUNK = 65536


class Traffic(ct.Structure):
    _fields_ = [("packets", ct.c_ulonglong), ("bytes", ct.c_ulonglong)]


class Table:
    """A hash of u32 to `Traffic`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __getitem__(self, key: ct.c_uint) -> Traffic:
        leaf = Traffic()
        if lib.bpf_map_lookup_elem(self._fd, ct.byref(key), ct.byref(leaf)) < 0:
            raise KeyError
        return leaf

    def __setitem__(self, key: ct.c_uint, leaf: Traffic) -> None:
        if lib.bpf_map_update_elem(self._fd, ct.byref(key), ct.byref(leaf), 0) < 0:
            raise OSError(ct.get_errno(), "bpf_map_update_elem")


def lookup(arguments: Arguments) -> dict[str, object]:
    table = Table(arguments.number("fd"))
    keys, count = arguments.number("keys"), arguments.number("count")
    total = 0
    took = Stopwatch()
    for number in range(count):
        total += table[ct.c_uint(number % keys)].bytes
    return took.stop().answer(count, total)


def update(arguments: Arguments) -> dict[str, object]:
    table = Table(arguments.number("fd"))
    keys, count, salt = arguments.number("keys"), arguments.number("count"), arguments.number("salt")
    total = 0
    took = Stopwatch()
    for number in range(count):
        key = number % keys
        table[ct.c_uint(key)] = Traffic(number, key * 64 + salt)
        total += key
    return took.stop().answer(count, total)


def scan(arguments: Arguments) -> dict[str, object]:
    fd, entries = arguments.number("fd"), arguments.number("count")
    took = Stopwatch()
    keys, values = (ct.c_uint * CHUNK)(), (ct.c_ulonglong * CHUNK)()
    cursor, chunk = ct.c_uint(), ct.c_uint()
    found = total = 0
    is_last = False
    while not is_last and found < entries:
        chunk.value = CHUNK
        start = ct.byref(cursor) if found else None
        if lib.bpf_map_lookup_batch(fd, start, ct.byref(cursor), keys, values, ct.byref(chunk), None):
            if ct.get_errno() != errno.ENOENT:
                raise OSError(ct.get_errno(), "bpf_map_lookup_batch")
            is_last = True
        for i in range(chunk.value):
            total += values[i]
        found += chunk.value
    return took.stop().answer(found, total)
