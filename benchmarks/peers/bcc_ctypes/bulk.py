"""Many map elements at once: ``table.items_lookup_batch()``, ``items_update_batch()``, ``items_delete_batch()``."""

from __future__ import annotations

import ctypes as ct
import errno
from typing import TYPE_CHECKING

from benchmarks.peers.bcc_ctypes.library import lib
from benchmarks.stopwatch import Stopwatch

if TYPE_CHECKING:
    from benchmarks.commands import Arguments


def lookup(arguments: Arguments) -> dict[str, object]:
    fd, wanted = arguments.number("fd"), arguments.number("count")
    took = Stopwatch()
    keys, values = (ct.c_uint * wanted)(), (ct.c_ulonglong * wanted)()
    cursor, count = ct.c_uint(), ct.c_uint(wanted)
    failed = lib.bpf_map_lookup_batch(fd, None, ct.byref(cursor), keys, values, ct.byref(count), None)
    if failed and ct.get_errno() != errno.ENOENT:
        raise OSError(ct.get_errno(), "bpf_map_lookup_batch")
    total = 0
    for i in range(count.value):
        total += values[i]
    return took.stop().answer(count.value, total)


def update(arguments: Arguments) -> dict[str, object]:
    fd, wanted, salt = arguments.number("fd"), arguments.number("count"), arguments.number("salt")
    keys = (ct.c_uint * wanted)(*range(wanted))
    values = (ct.c_ulonglong * wanted)(*(key ^ salt for key in range(wanted)))
    count = ct.c_uint(wanted)
    took = Stopwatch()
    if lib.bpf_map_update_batch(fd, keys, values, ct.byref(count), None):
        raise OSError(ct.get_errno(), "bpf_map_update_batch")
    return took.stop().answer(wanted, count.value)


def delete(arguments: Arguments) -> dict[str, object]:
    fd, wanted = arguments.number("fd"), arguments.number("count")
    keys = (ct.c_uint * wanted)(*range(wanted))
    count = ct.c_uint(wanted)
    took = Stopwatch()
    if lib.bpf_map_delete_batch(fd, keys, ct.byref(count), None):
        raise OSError(ct.get_errno(), "bpf_map_delete_batch")
    return took.stop().answer(wanted, count.value)
