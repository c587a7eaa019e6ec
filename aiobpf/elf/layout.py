"""Which section is what, by its name and type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf.elf.file import SHT_NOBITS, SHT_PROGBITS
from aiobpf.errors import ElfError

if TYPE_CHECKING:
    from aiobpf.elf.file import ElfFile, Section

STRUCT_OPS_SECTIONS = frozenset({".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"})
ARENA_SECTION = ".addr_space.1"
"""Where compilers put what is declared in address space 1, which is the arena's to BPF."""

_DATA = frozenset({".data", ".rodata", ".bss"})
_DATA_PREFIXES = (".data.", ".rodata.", ".bss.")


@frozen
class Layout:
    """The sections of a BPF object by their role; what has none (debugging, notes) is in no list."""

    code: list[Section] = field(factory=list)
    data: list[Section] = field(factory=list)
    maps: Section | None = None
    """``.maps``: maps that BTF describes."""
    legacy_maps: list[Section] = field(factory=list)
    """``maps``: arrays of struct bpf_map_def."""
    struct_ops: list[Section] = field(factory=list)
    arena: Section | None = None
    """``.addr_space.1``: variables that lie in the object's arena."""


def lay_out(file: ElfFile) -> Layout:
    """Sort the sections of *file* by role."""
    code: list[Section] = []
    data: list[Section] = []
    legacy: list[Section] = []
    struct_ops: list[Section] = []
    names: set[str] = set()
    maps: Section | None = None
    arena: Section | None = None
    for section in file.sections:
        name = section.name
        if section.is_code:
            code.append(section)
        elif name == ".maps":
            if maps is not None:
                raise ElfError("two sections are named '.maps'")
            maps = section
        elif (name == "maps" or name.startswith("maps/")) and section.type == SHT_PROGBITS:
            legacy.append(section)
        elif is_data(section):
            if name in names:
                raise ElfError(f"two sections are named {name!r}")
            names.add(name)
            data.append(section)
        elif name in STRUCT_OPS_SECTIONS and section.type == SHT_PROGBITS and section.size:
            if any(other.name == name for other in struct_ops):
                raise ElfError(f"two sections are named {name!r}")
            struct_ops.append(section)
        elif name == ARENA_SECTION and section.size:
            if arena is not None:
                raise ElfError(f"two sections are named {name!r}")
            arena = section
    return Layout(code, data, maps, legacy, struct_ops, arena)


def is_data(section: Section) -> bool:
    """Whether *section* holds global variables: .data, .rodata, .bss, or one named after them (".data.counters")."""
    name = section.name
    if section.size == 0:
        return False
    if section.type == SHT_NOBITS:
        return name == ".bss" or name.startswith(".bss.")
    return section.type == SHT_PROGBITS and (name in _DATA or name.startswith(_DATA_PREFIXES))


def is_read_only(section: Section) -> bool:
    """Whether programs may only read it: the loader freezes its map."""
    return section.name == ".rodata" or section.name.startswith(".rodata.")


def license_of(file: ElfFile) -> str:
    """What section ``license`` says, "" without one."""
    section = file.find("license")
    if section is None:
        return ""
    return bytes(file.data(section)).partition(b"\0")[0].decode("utf-8", "backslashreplace")


def kernel_version_of(file: ElfFile) -> int:
    """What section ``version`` says (LINUX_VERSION_CODE; only kernels before 5.0 look at it), 0 without one."""
    section = file.find("version")
    if section is None:
        return 0
    data = file.data(section)
    if len(data) != 4:
        raise ElfError(f"section 'version' has {len(data)} bytes, not 4")
    return int.from_bytes(data, file.byte_order)
