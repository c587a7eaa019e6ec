"""The ELF container: a BPF object's sections, checked before they are read.

pyelftools knows the header; the tables of sections, symbols and relocations, of which there are many entries, are
unpacked straight from the bytes (measured: its own walk takes 65 times as long).
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from struct import iter_unpack
from typing import TYPE_CHECKING, Any, Final, final

from attrs import frozen

from aiobpf.errors import ElfError

if TYPE_CHECKING:
    from typing import Literal

    from elftools.elf.structs import ELFStructs

SHT_PROGBITS: Final = 1
SHT_SYMTAB: Final = 2
SHT_RELA: Final = 4
SHT_NOBITS: Final = 8
SHT_REL: Final = 9
SHF_EXECINSTR: Final = 4
SHF_COMPRESSED: Final = 0x800
SHN_UNDEF: Final = 0

_EM_NONE = "EM_NONE"  # what LLVM wrote before 3.8 gave BPF its number
_EM_BPF = "EM_BPF"
_HEADER_SIZE = 64
_SECTION_HEADER_SIZE = 64
_SECTION_HEADER = {"little": "<IIQQQQIIQQ", "big": ">IIQQQQIIQQ"}
_XINDEX = 0xFFFF
_MAX_SECTIONS = 0xFFFF
"""More needs extended numbering, which no BPF object does: compilers make tens, `-ffunction-sections` thousands."""


@frozen
class Section:
    """One section header. Nothing of it is trusted: `ElfFile.data` checks it against the file."""

    index: int
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int

    @property
    def is_code(self) -> bool:
        return self.type == SHT_PROGBITS and bool(self.flags & SHF_EXECINSTR) and self.size > 0


@final
class ElfFile:
    """A 64-bit relocatable ELF file for BPF, of either byte order.

    Invariant: any bytes give an ElfFile or an ElfError; what a header declares is never allocated, only sliced.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).toreadonly()
        self.byte_order: Literal["little", "big"]
        structs, self.byte_order = self._identify()
        header = self._parse(structs.Elf_Ehdr, 0, "ELF header")
        if header["e_machine"] not in {_EM_BPF, _EM_NONE}:
            raise ElfError(f"machine is {_machine(header['e_machine'])}, not BPF (247)")
        if header["e_type"] != "ET_REL":
            raise ElfError(f"ELF type is {header['e_type']}, not ET_REL: a BPF object is a relocatable file")
        self.sections: tuple[Section, ...] = self._read_sections(structs, header)

    def _identify(self) -> tuple[ELFStructs, Literal["little", "big"]]:
        ident = bytes(self._data[:16])
        if ident[:4] != b"\x7fELF":
            raise ElfError("no ELF file: it does not begin with the ELF magic")
        if len(self._data) < _HEADER_SIZE:
            raise ElfError(f"ELF header needs {_HEADER_SIZE} bytes, the file has {len(self._data)}")
        if ident[4] != 2:
            raise ElfError("a 32-bit ELF file: BPF objects are 64-bit" if ident[4] == 1 else f"ELF class {ident[4]}")
        if ident[5] == 1:
            return _structs(True), "little"
        if ident[5] == 2:
            return _structs(False), "big"
        raise ElfError(f"ELF byte order {ident[5]} is neither little (1) nor big (2)")

    def _parse(self, structure: Any, offset: int, what: str) -> Any:
        """A structure at *offset*, by pyelftools; whatever goes wrong in there becomes an ElfError."""
        from elftools.common.exceptions import ELFError
        from elftools.common.utils import struct_parse

        size = structure.sizeof()
        if offset + size > len(self._data):
            raise ElfError(f"{what} at byte {offset} is past the end of the file ({len(self._data)} bytes)")
        try:
            return struct_parse(structure, BytesIO(self._data[offset : offset + size]))
        except (ELFError, ValueError, ArithmeticError, LookupError, TypeError) as error:
            raise ElfError(f"{what} at byte {offset}: {error}") from error

    def _read_sections(self, structs: ELFStructs, header: Any) -> tuple[Section, ...]:
        start, count, names = header["e_shoff"], header["e_shnum"], header["e_shstrndx"]
        if start == 0:
            raise ElfError("the file has no sections")
        if header["e_shentsize"] != _SECTION_HEADER_SIZE:
            raise ElfError(f"section headers are of {header['e_shentsize']} bytes, not {_SECTION_HEADER_SIZE}")
        # Numbers that do not fit 16 bits are in the first section's header (gABI, "extended section numbering").
        if count == 0 or names == _XINDEX:
            first = self._parse(structs.Elf_Shdr, start, "section header 0")
            count = count or first["sh_size"]
            names = first["sh_link"] if names == _XINDEX else names
        if count > _MAX_SECTIONS:
            raise ElfError(f"{count} sections; the limit is {_MAX_SECTIONS}")
        if start + count * _SECTION_HEADER_SIZE > len(self._data):
            raise ElfError(f"the table of {count} section headers at byte {start} is past the end of the file")
        table = self._data[start : start + count * _SECTION_HEADER_SIZE]
        raw = list(iter_unpack(_SECTION_HEADER[self.byte_order], table))
        if not 0 < names < count:
            raise ElfError(f"section names are in section {names}, of {count}")
        what = "the table of section names"
        at = StringTable(self._bytes(raw[names][4], raw[names][5], what), what).at
        return tuple(
            Section(i, at(name), kind, flags, offset, size, link, info)
            for i, (name, kind, flags, _, offset, size, link, info, _, _) in enumerate(raw)
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

    def at(self, offset: int) -> str:
        """The name at *offset*. Bytes that are no UTF-8 show as escapes, so every name can be printed."""
        end = self._data.find(b"\0", offset)
        if end < 0:
            raise ElfError(f"{self._what}: no name ends after byte {offset}, of {len(self._data)}")
        return self._data[offset:end].decode("utf-8", "backslashreplace")


@cache
def _structs(little: bool) -> ELFStructs:
    """pyelftools' structures, made once per byte order: making them takes longer than reading a whole object."""
    from elftools.elf.structs import ELFStructs

    structs = ELFStructs(little_endian=little, elfclass=64)
    structs.create_basic_structs()
    structs.create_advanced_structs("ET_REL", _EM_BPF, "ELFOSABI_SYSV")
    return structs


def _machine(value: object) -> str:
    return f"{value:#x}" if isinstance(value, int) else str(value)
