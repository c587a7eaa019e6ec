"""The ELF container: a BPF object's sections, checked before they are read.

The header and the tables of sections, symbols and relocations are unpacked straight from the bytes. pyelftools, which
reads executables and libraries (`aiobpf.symbols.elf_image`), takes 65 times as long for a walk over an object, and its
import as long as reading thirty of them.
"""

from __future__ import annotations

from struct import iter_unpack, unpack_from
from typing import Final, Literal, NamedTuple, final

from aiobpf.errors import ElfError

SHT_PROGBITS: Final = 1
SHT_SYMTAB: Final = 2
SHT_RELA: Final = 4
SHT_NOBITS: Final = 8
SHT_REL: Final = 9
SHF_EXECINSTR: Final = 4
SHF_COMPRESSED: Final = 0x800
SHN_UNDEF: Final = 0

_ET_REL = 1
_TYPES = {0: "ET_NONE", 2: "ET_EXEC", 3: "ET_DYN", 4: "ET_CORE"}
_EM_NONE = 0  # what LLVM wrote before 3.8 gave BPF its number
_EM_BPF = 247
_MACHINES = {3: "EM_386", 62: "EM_X86_64", 183: "EM_AARCH64", 22: "EM_S390", 243: "EM_RISCV", 21: "EM_PPC64"}
"""Whose own programs are the likeliest mistake."""
_HEADER_SIZE = 64
_HEADER = {"little": "<HHIQQQIHHHHHH", "big": ">HHIQQQIHHHHHH"}
"""Behind the 16 bytes that identify the file: type, machine, version, entry, offsets of the segments and sections,
flags, size of this header, size and number of segments and of sections, the section with their names (elf(5))."""
_SECTION_HEADER_SIZE = 64
_SECTION_HEADER = {"little": "<IIQQQQIIQQ", "big": ">IIQQQQIIQQ"}
_XINDEX = 0xFFFF
_MAX_OVERLAP = 2
_NAMES_A_BYTE = 8
"""What names may come to, for each byte of their table. Linkers let ".text" be the end of ".rel.text"; without a limit,
a table of a megabyte would be a megabyte for each of 65,000 sections."""
_MAX_SECTIONS = 0xFFFF
"""More needs extended numbering, which no BPF object does: compilers make tens, `-ffunction-sections` thousands."""


class Section(NamedTuple):
    """One section header. Nothing of it is trusted: `ElfFile.data` checks it against the file.

    A tuple, since a small object has thirty of them and an attrs class is three times as slow to make.
    """

    index: int  # type: ignore[assignment] # pyright: ignore[reportIncompatibleMethodOverride] - no one looks for a value
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int = 1

    @property
    def is_code(self) -> bool:
        return self.type == SHT_PROGBITS and bool(self.flags & SHF_EXECINSTR) and self.size > 0


@final
class ElfFile:
    """A 64-bit relocatable ELF file for BPF, of either byte order.

    Invariant: any bytes give an ElfFile or an ElfError; what a header declares is never allocated, only sliced, and all
    sections together have no more bytes than twice the file, so that reading each of them once is bounded by it.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).toreadonly()
        self.byte_order: Literal["little", "big"]
        self.byte_order = self._identify()
        kind, machine, _, _, _, start, _, _, _, _, entry_size, count, names = unpack_from(
            _HEADER[self.byte_order], self._data, 16
        )
        if machine not in {_EM_BPF, _EM_NONE}:
            raise ElfError(f"machine is {_MACHINES.get(machine, hex(machine))}, not BPF ({_EM_BPF})")
        if kind != _ET_REL:
            raise ElfError(f"ELF type is {_TYPES.get(kind, kind)}, not ET_REL: a BPF object is a relocatable file")
        self.sections: tuple[Section, ...] = self._read_sections(start, entry_size, count, names)

    def _identify(self) -> Literal["little", "big"]:
        ident = bytes(self._data[:16])
        if ident[:4] != b"\x7fELF":
            raise ElfError("no ELF file: it does not begin with the ELF magic")
        if len(self._data) < _HEADER_SIZE:
            raise ElfError(f"ELF header needs {_HEADER_SIZE} bytes, the file has {len(self._data)}")
        if ident[4] != 2:
            raise ElfError("a 32-bit ELF file: BPF objects are 64-bit" if ident[4] == 1 else f"ELF class {ident[4]}")
        if ident[5] == 1:
            return "little"
        if ident[5] == 2:
            return "big"
        raise ElfError(f"ELF byte order {ident[5]} is neither little (1) nor big (2)")

    def _read_sections(self, start: int, entry_size: int, count: int, names: int) -> tuple[Section, ...]:
        if start == 0:
            raise ElfError("the file has no sections")
        if entry_size != _SECTION_HEADER_SIZE:
            raise ElfError(f"section headers are of {entry_size} bytes, not {_SECTION_HEADER_SIZE}")
        # Numbers that do not fit 16 bits are in the first section's header (gABI, "extended section numbering").
        if count == 0 or names == _XINDEX:
            if start + _SECTION_HEADER_SIZE > len(self._data):
                raise ElfError(f"section header 0 at byte {start} is past the end of the file")
            first = unpack_from(_SECTION_HEADER[self.byte_order], self._data, start)
            count = count or first[5]
            names = first[6] if names == _XINDEX else names
        if count > _MAX_SECTIONS:
            raise ElfError(f"{count} sections; the limit is {_MAX_SECTIONS}")
        if start + count * _SECTION_HEADER_SIZE > len(self._data):
            raise ElfError(f"the table of {count} section headers at byte {start} is past the end of the file")
        table = self._data[start : start + count * _SECTION_HEADER_SIZE]
        raw = list(iter_unpack(_SECTION_HEADER[self.byte_order], table))
        if not 0 < names < count:
            raise ElfError(f"section names are in section {names}, of {count}")
        length, inside = len(self._data), 0
        for _, kind, _, _, offset, size, _, _, _, _ in raw:
            if kind != SHT_NOBITS and offset + size <= length:
                inside += size
        if inside > _MAX_OVERLAP * len(self._data):
            raise ElfError(f"the sections overlap: they have {inside} bytes, of a file of {len(self._data)}")
        what = "the table of section names"
        at = StringTable(self._bytes(raw[names][4], raw[names][5], what), what).at
        return tuple(
            [  # not a generator, which is entered anew for each of them
                Section(i, at(name), kind, flags, offset, size, link, info, alignment)
                for i, (name, kind, flags, _, offset, size, link, info, alignment, _) in enumerate(raw)
            ]
        )

    def _bytes(self, offset: int, size: int, what: str) -> memoryview:
        if offset + size > len(self._data):
            raise ElfError(
                f"{what}: {size} bytes at byte {offset} are past the end of the file ({len(self._data)} bytes)"
            )
        return self._data[offset : offset + size]

    def data(self, section: Section) -> memoryview:
        """The bytes of *section*; none for SHT_NOBITS, whose size is only a promise."""
        if section.type == SHT_NOBITS:
            return memoryview(b"")
        if section.flags & SHF_COMPRESSED:
            raise ElfError(f"section {section.name!r} is compressed")
        return self._bytes(section.offset, section.size, f"section {section.name!r}")

    def section(self, index: int, what: str) -> Section:
        """The section at *index*; *what* says who refers to it."""
        if not 0 <= index < len(self.sections):
            raise ElfError(f"{what} refers to section {index}, of {len(self.sections)}")
        return self.sections[index]

    def find(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)


@final
class StringTable:
    """NUL-terminated names in a section's bytes."""

    def __init__(self, data: memoryview, what: str) -> None:
        self._data = bytes(data)
        self._what = what
        self._known: dict[int, str] = {}
        self._left = _NAMES_A_BYTE * len(self._data)

    def at(self, offset: int) -> str:
        """The name at *offset*. Bytes that are no UTF-8 show as escapes, so every name can be printed."""
        found = self._known.get(offset)
        if found is None:
            end = self._data.find(b"\0", offset)
            if end < 0:
                raise ElfError(f"{self._what}: no name ends after byte {offset}, of {len(self._data)}")
            self._left -= end - offset
            if self._left < 0:
                raise ElfError(f"{self._what}: the names overlap, again and again")
            found = self._known[offset] = self._data[offset:end].decode("utf-8", "backslashreplace")
        return found
