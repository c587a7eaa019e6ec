"""Where the types of one BTF are and which of them have a name: the native index, made to fit Python."""

from __future__ import annotations

import errno
import struct
from mmap import mmap
from threading import Lock
from typing import TYPE_CHECKING, final

from aiobpf._native import ffi, lib
from aiobpf.btf.kinds import Kind
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from aiobpf._native._lib import BtfNamedArray, CData, IntArray
    from aiobpf.btf.header import Header

NAME_LIMIT = 1024
"""The longest name of a type or member, in bytes. The kernel stops at 512 (KSYM_NAME_LEN); a limit keeps a hostile file
from naming each of its types by the same five megabytes."""

_SMALLEST_TYPE = 12
_STEP = 8  # of btf_index.c: each eighth type's place is kept
_SPARSE_FROM = 1 << 16


@final
class Strings:
    """The strings of one file, and where they begin in the table that it shares with the BTFs under it."""

    __slots__ = ("buffer", "data", "end", "first", "start")

    def __init__(self, data: bytes | mmap, header: Header, first: int) -> None:
        self.data = data
        self.start = header.strings
        self.first = first
        self.end = first + header.strings_length
        self.buffer: CData = ffi.from_buffer("uint8_t[]", data)


@final
class Index:
    """The types and names that one BTF adds, counted from 0.

    Making one reads the types once, in C, and checks that each lies inside its section and is of a kind known here or
    described by the layout section. Names are indexed when the first is asked for, those of functions apart: they are
    most of a kernel's, and CO-RE asks for none. Half a byte a type, and 16 to 20 for each with a name that is indexed.
    """

    __slots__ = ("_has_names", "_kept", "_lock", "count", "view")

    def __init__(self, data: bytes | mmap, header: Header, strings: tuple[Strings, ...]) -> None:
        """*strings* are its own and those of the BTFs under it. BtfError names the type where the section breaks."""
        view = ffi.new("struct btf_view *")
        view.data = whole = ffi.from_buffer("uint8_t[]", data)
        view.types = header.types
        view.types_length = header.types_length
        view.layout = header.layout
        view.layout_kinds = header.layout_length // 4
        view.is_swapped = header.byte_order == "big"
        tables = ffi.new("struct btf_strings[]", len(strings))
        for i, each in enumerate(strings):
            tables[i].data = each.buffer
            tables[i].start = each.start
            tables[i].first = each.first
            tables[i].length = each.end - each.first
        view.strings = tables
        view.string_count = len(strings)
        view.names_end = max(each.end for each in strings)

        capacity = header.types_length // _SMALLEST_TYPE
        marks, others = _words(capacity // _STEP + 1), _named(capacity)
        counts = ffi.new("struct btf_counts *")
        count = lib.btf_index(view, marks, others, capacity, counts)
        if count < 0:
            raise _broken_type(data, header, -count, counts.where)
        view.marks = marks
        view.names[False].members, view.names[False].count = others, counts.others
        view.names[True].count = counts.functions
        view.type_count = self.count = count
        self.view = view
        """For the C unit, good as long as this is."""
        self._kept: tuple[object, ...] = (whole, tables, strings, marks, others)
        self._has_names = [False, False]
        self._lock = Lock()

    def offset(self, index: int) -> int:
        """Where a type begins, from the start of the types, in bytes; *index* is below `count`."""
        return lib.btf_offset(self.view, index)

    def find(self, name: str, *, kind: Kind | None = None, by_essential_name: bool = False) -> list[int]:
        """The types of that name, in order; with *by_essential_name* those of that name and any flavour ("___x").

        *kind* says whether to look among the functions or the other types, which it does not tell apart.
        """
        encoded = name.encode(errors="surrogateescape")
        if kind is None:
            others, functions = (self._find(encoded, each, by_essential_name) for each in (False, True))
            return sorted(others + functions) if others and functions else others or functions
        return self._find(encoded, kind == Kind.FUNC, by_essential_name)

    def _find(self, name: bytes, of_functions: bool, by_essential_name: bool) -> list[int]:
        with self._lock:
            if not self._has_names[of_functions]:
                self._index_names(of_functions)
                self._has_names[of_functions] = True
        capacity = 16
        while True:
            found = ffi.new("uint32_t[]", capacity)
            count = lib.btf_find(self.view, of_functions, name, len(name), by_essential_name, found, capacity)
            if count <= capacity:
                return [found[i] for i in range(count)]
            capacity = count

    def of_kind(self, kind: Kind) -> list[int]:
        """The types of one kind, in order."""
        capacity = 256
        while True:
            found = ffi.new("uint32_t[]", capacity)
            count = lib.btf_find_kind(self.view, kind, found, capacity)
            if count <= capacity:
                return [found[i] for i in range(count)]
            capacity = count

    def of_prefix(self, prefix: bytes, kind: Kind) -> list[int]:
        """The types of one kind whose names begin with *prefix*, in order."""
        capacity = 256
        while True:
            found = ffi.new("uint32_t[]", capacity)
            count = lib.btf_find_prefix(self.view, kind, prefix, len(prefix), found, capacity)
            if count <= capacity:
                return [found[i] for i in range(count)]
            capacity = count

    def _index_names(self, of_functions: bool) -> None:
        names = self.view.names[of_functions]
        if of_functions:
            names.members = members = _named(names.count)
            self._kept += (members,)
            lib.btf_collect_functions(self.view)
        buckets = 1 << max(names.count - 1, 0).bit_length()
        names.heads = heads = _words(buckets)
        names.mask = buckets - 1
        names.next = following = _words(names.count + 1)
        self._kept += heads, following
        lib.btf_index_names(self.view, of_functions)


def _words(count: int) -> IntArray:
    """*count* zeroed 32-bit numbers. Many of them are mapped, so that those never written take no memory."""
    if count < _SPARSE_FROM:
        return ffi.new("uint32_t[]", count)
    return ffi.from_buffer("uint32_t[]", mmap(-1, count * 4))


def _named(count: int) -> BtfNamedArray:
    """Room for *count* types with their names, as `_words`."""
    if count < _SPARSE_FROM:
        return ffi.new("struct btf_named[]", count)
    return ffi.from_buffer("struct btf_named[]", mmap(-1, count * 8))


def _broken_type(data: bytes | mmap, header: Header, code: int, offset: int) -> BtfError:
    where = f"the type at offset {offset} of {header.types_length}"
    if code == errno.ENODATA:
        return BtfError(f"{where} runs past the end of the type section")
    order = "<" if header.byte_order == "little" else ">"
    name, info = struct.unpack_from(order + "II", data, header.types + offset)
    if code == errno.ENOTSUP:
        return BtfError(f"{where} is of the unknown kind {info >> 24 & 0x7F}, and no layout section describes it")
    return BtfError(f"{where} has its name at {name}, past the strings")
