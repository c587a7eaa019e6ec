"""What the compiler noted beside instructions: .BTF.ext, decoded once for each ELF section.

The wire formats end here. A section's notes are put on its instructions as metadata, before it is cut into functions,
and travel with them from then on; `encode_ext_infos` makes records again from whatever program comes of them.

Source: struct btf_ext_header and the record formats in Documentation/bpf/btf.rst, Linux 7.1.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, TypeVar, final

from aiobpf.btf.btf import Btf
from aiobpf.btf.composites import Function
from aiobpf.btf.core_relocation import CORE_RELOCATION, CoreRelocation, CoreRelocationKind
from aiobpf.btf.header import MAGIC
from aiobpf.btf.notes import FUNCTION_INFO, LINE
from aiobpf.btf.records import Lines, Records, ascending
from aiobpf.errors import AsmError, BtfError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiobpf.asm import Instructions, Key
    from aiobpf.btf.notes import Line

T = TypeVar("T")
_SHORT = 24
_WITH_RELOCATIONS = 32
_LAST_KIND = max(CoreRelocationKind)
_FUNCTION, _LINE, _RELOCATION = range(3)
_NAMES = ("function info", "line info", "CO-RE relocations")
_WORDS = (2, 4, 4)
"""Words of a record, of those that are known; a record may be longer."""


def load_btf_and_ext_infos(btf: bytes, ext: bytes | None, base: Btf | None = None) -> tuple[Btf, ExtInfos | None]:
    """The .BTF section *btf* and what the .BTF.ext section *ext* says, for the ELF reader. Raises BtfError."""
    types = Btf.from_bytes(btf, base)
    return types, None if ext is None else ExtInfos(ext, types)


@final
class ExtInfos:
    """The notes of an object file by ELF section. Any bytes give one, or a BtfError that names section and record."""

    __slots__ = ("_sections",)

    def __init__(self, data: bytes, types: Btf) -> None:
        order, stretches = _read_header(data)
        if (order == "<") != (types.byte_order == "little"):
            raise BtfError(".BTF.ext has not the byte order of .BTF")
        found: dict[str, list[list[Records]]] = {}
        for which, (start, end) in enumerate(stretches):
            for section, records in _read_blocks(data, order, which, start, end, types):
                found.setdefault(section, [[], [], []])[which].append(records)
        self._sections = {
            section: SectionInfos(
                _functions(section, blocks[_FUNCTION], types),
                _lines(section, blocks[_LINE], types),
                _relocations(section, blocks[_RELOCATION], types),
            )
            for section, blocks in found.items()
        }

    def section(self, name: str) -> SectionInfos | None:
        """The notes on an ELF section's instructions, or None."""
        return self._sections.get(name)

    @property
    def sections(self) -> Sequence[str]:
        """The names of the ELF sections that have any."""
        return list(self._sections)


@final
class SectionInfos:
    """The notes on one ELF section, each kind by raw slot (units of 8 bytes), ascending."""

    __slots__ = ("_function_slots", "_functions", "_relocation_slots", "_relocations", "line_slots", "lines")

    def __init__(
        self,
        functions: tuple[array[int], Sequence[Function]],
        lines: tuple[array[int], Sequence[Line]],
        relocations: tuple[array[int], Sequence[CoreRelocation]],
    ) -> None:
        self._function_slots, self._functions = functions
        self.line_slots: array[int] = lines[0]
        self.lines: Sequence[Line] = lines[1]
        """Made when looked at, from the packed records."""
        self._relocation_slots, self._relocations = relocations

    @property
    def functions(self) -> list[tuple[int, Function]]:
        return list(zip(self._function_slots, self._functions, strict=True))

    @property
    def relocations(self) -> list[tuple[int, CoreRelocation]]:
        return list(zip(self._relocation_slots, self._relocations, strict=True))

    def assign(self, instructions: Instructions, base_slot: int = 0, *, end_slot: int | None = None) -> None:
        """Put the notes on slots *base_slot* to *end_slot* of the section on *instructions*, which stand there.

        Without *end_slot*, as many as there are instructions. Nothing is copied. Raises BtfError for a note in the
        middle of an instruction or past the last.
        """
        end = base_slot + instructions.slot_count if end_slot is None else end_slot
        _attach(instructions, FUNCTION_INFO, self._function_slots, self._functions, base_slot, end)
        _attach(instructions, LINE, self.line_slots, self.lines, base_slot, end)
        _attach(instructions, CORE_RELOCATION, self._relocation_slots, self._relocations, base_slot, end)


def _attach(
    instructions: Instructions, key: Key[T], slots: array[int], values: Sequence[T], base_slot: int, end_slot: int
) -> None:
    start, stop = bisect_left(slots, base_slot), bisect_left(slots, end_slot)
    try:
        instructions.attach_slots(key, slots, values, start=start, stop=stop, base=-base_slot)
    except AsmError as error:
        raise BtfError(f"slots {base_slot} to {end_slot}: {error}") from None


def _read_header(data: bytes) -> tuple[str, list[tuple[int, int]]]:
    """The byte order, and where each kind of records begins and ends; all inside *data*."""
    if len(data) < _SHORT:
        raise BtfError(f".BTF.ext header needs {_SHORT} bytes, found {len(data)}")
    order = MAGIC.get(data[:2])
    if order is None:
        raise BtfError(f"no .BTF.ext: the first two bytes are {data[:2].hex()}, not 9feb or eb9f")
    version, flags, length, *places = struct.unpack_from(order + "BBIIIII", data, 2)
    if version != 1 or flags:
        raise BtfError(f".BTF.ext version {version} with flags {flags:#x} is unknown")
    if not _SHORT <= length <= len(data):
        raise BtfError(f".BTF.ext header claims {length} bytes in a section of {len(data)}")
    if length >= _WITH_RELOCATIONS:  # before clang 10 there is none, and these bytes are records already
        places += struct.unpack_from(order + "II", data, _SHORT)
    stretches = []
    for name, offset, size in zip(_NAMES, places[::2], places[1::2], strict=False):
        start = length + offset
        if start + size > len(data):
            raise BtfError(f".BTF.ext: {name} of {size} bytes at {start} ends past the section's {len(data)} bytes")
        if offset % 4:
            raise BtfError(f".BTF.ext: {name} at {start} is not aligned to 4 bytes")
        stretches.append((start, start + size))
    return order, stretches


def _read_blocks(
    data: bytes, order: str, which: int, start: int, end: int, types: Btf
) -> Iterator[tuple[str, Records]]:
    """(ELF section, its records) of one kind: the size of a record, then a header and records for each section."""
    if start == end:
        return
    what = f".BTF.ext: {_NAMES[which]}"
    if end - start < 4:
        raise BtfError(f"{what} end inside their first word")
    (size,) = struct.unpack_from(order + "I", data, start)
    if size < 4 * _WORDS[which] or size % 4:
        raise BtfError(f"{what} have records of {size} bytes, not {4 * _WORDS[which]} or more words")
    at = start + 4
    while at < end:
        if end - at < 8:
            raise BtfError(f"{what} end inside a section's header")
        name, count = struct.unpack_from(order + "II", data, at)
        section = types.name_at(name)
        at += 8
        if count == 0 or count * size > end - at:
            raise BtfError(f"{what} of section {section!r} claim {count} records of {size} bytes in {end - at} bytes")
        yield section, Records(data[at : at + count * size], order, size // 4)
        at += count * size


def _functions(section: str, blocks: list[Records], types: Btf) -> tuple[array[int], Sequence[Function]]:
    slots, records = _merged(section, _FUNCTION, blocks)
    functions = []
    for type_id in records.column(1):
        function = types.type_by_id(type_id)
        if not isinstance(function, Function):
            raise BtfError(f"section {section!r}: function info names type [{type_id}], which is no function")
        functions.append(function)
    return slots, functions


def _lines(section: str, blocks: list[Records], types: Btf) -> tuple[array[int], Sequence[Line]]:
    slots, records = _merged(section, _LINE, blocks)
    return slots, Lines(records, types)


def _relocations(section: str, blocks: list[Records], types: Btf) -> tuple[array[int], Sequence[CoreRelocation]]:
    slots, records = _merged(section, _RELOCATION, blocks)
    relocations = []
    for type_id, access, kind in zip(records.column(1), records.column(2), records.column(3), strict=True):
        if kind > _LAST_KIND:
            raise BtfError(f"section {section!r}: CO-RE relocation of the unknown kind {kind}")
        if type_id >= len(types.types):
            raise BtfError(f"section {section!r}: CO-RE relocation of type [{type_id}], which is not there")
        relocation = CoreRelocation(type_id, types, types.name_at(access), CoreRelocationKind(kind))
        relocations.append(relocation)
    return slots, relocations


def _merged(section: str, which: int, blocks: list[Records]) -> tuple[array[int], Records]:
    """One section's records in order of their slots, one a slot."""
    records = Records.joined(blocks)
    offsets = records.column(0)
    if any(map((7).__and__, offsets)):
        inside = next(offset for offset in offsets if offset % 8)
        raise BtfError(f"section {section!r}: {_NAMES[which]} at byte {inside}, inside an instruction")
    slots = array("I", [offset // 8 for offset in offsets])
    if not ascending(slots):
        last = {slot: i for i, slot in enumerate(slots)}
        order = sorted(last)
        return array("I", order), records.chosen([last[slot] for slot in order])
    return slots, records
