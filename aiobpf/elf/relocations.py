"""Relocations of code: from places in sections to names on instructions.

Afterwards an instruction says what it refers to (`REFERENCE`, and `EXTERN` for what the kernel has) and its source
register says how; the number that stood for a place in this file is gone, but for an offset into a data section.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, final

from attrs import define, field

from aiobpf.asm import REFERENCE, Reference
from aiobpf.elf.relocation_table import R_BPF_64_32, R_BPF_64_64, R_BPF_NONE
from aiobpf.elf.symbols import STT_SECTION
from aiobpf.errors import AsmError, ElfError
from aiobpf.spec.externs import EXTERN, Extern, ExternKind

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.elf.file import ElfFile, Section
    from aiobpf.elf.functions import Function, FunctionTable
    from aiobpf.elf.relocation_table import Relocation
    from aiobpf.elf.symbols import Symbol, SymbolTable

_LD_IMM64: Final = 0x18
_CALL: Final = 0x85

# Source registers that say what an immediate is (UAPI bpf.h, BPF_PSEUDO_*).
_PSEUDO_MAP_FD: Final = 1
_PSEUDO_MAP_VALUE: Final = 2
_PSEUDO_BTF_ID: Final = 3
_PSEUDO_FUNC: Final = 4
_PSEUDO_CALL: Final = 1
_PSEUDO_KFUNC_CALL: Final = 2

_OFFSET_LIMIT: Final = 1 << 32
_KCONFIG: Final = ".kconfig"


@final
@define
class Places:
    """What a symbol of the file may be: where maps, data sections and functions are, and which names are externs."""

    file: ElfFile
    symbols: SymbolTable
    functions: FunctionTable
    maps: dict[tuple[int, int], str] = field(factory=dict)
    """Name by section and byte offset."""
    map_sections: set[int] = field(factory=set)
    data: dict[int, str] = field(factory=dict)
    """Map name by section."""
    externs: dict[str, Extern] = field(factory=dict)

    def function_at(self, section: int, offset: int) -> Function | None:
        """The function that begins at that byte."""
        return self.functions.at(section, offset // 8) if offset % 8 == 0 else None


@final
class CodeRelocator:
    """The references of one code section; use once."""

    def __init__(self, section: Section, instructions: Instructions, places: Places) -> None:
        self._section = section
        self._instructions = instructions
        self._places = places
        self._references: dict[int, Reference] = {}
        self._externs: dict[int, Extern] = {}
        self.calls: dict[int, Function] = {}
        """The functions that are called, or whose address is taken, by the slot that does it."""

    def apply(self, relocations: list[Relocation]) -> None:
        """Resolve *relocations*, and the calls within the section, which need none."""
        for relocation in relocations:
            if relocation.type != R_BPF_NONE:
                self._apply(relocation)
        self._name_relative_calls()
        self._attach()

    def _apply(self, relocation: Relocation) -> None:
        where = f"section {self._section.name!r}, byte {relocation.offset:#x}"
        slot, remainder = divmod(relocation.offset, 8)
        symbol = relocation.symbol
        try:
            if remainder:
                raise ElfError("is in the middle of an instruction")
            index = self._instructions.index_of_slot(slot)
            opcode, _, src, _, constant = self._instructions.fields(index)
            if relocation.type == R_BPF_64_64 and opcode == _LD_IMM64:
                self._load(slot, index, symbol, _signed32(constant))
            elif relocation.type == R_BPF_64_32 and opcode == _CALL:
                self._call(slot, index, symbol, src, constant)
            elif relocation.type in {R_BPF_64_64, R_BPF_64_32}:
                raise ElfError(f"does not fit an instruction with opcode {opcode:#04x}")
            else:
                raise ElfError("is not known")
        except (ElfError, AsmError) as error:
            raise ElfError(f"{where}: relocation type {relocation.type} for {self._name(symbol)}: {error}") from None

    def _name(self, symbol: Symbol) -> str:
        if symbol.name or symbol.type != STT_SECTION:
            return f"symbol {symbol.name!r}"
        return f"section {self._section_name(symbol.section)!r}"

    def _section_name(self, index: int) -> str:
        sections = self._places.file.sections
        return sections[index].name if index < len(sections) else f"#{index}"

    def _load(self, slot: int, index: int, symbol: Symbol, addend: int) -> None:
        """A 64-bit immediate: the address of a map, variable, function or extern."""
        places = self._places
        if symbol.is_undefined:
            self._load_extern(slot, index, symbol)
        elif symbol.section in places.map_sections:
            # Only the address of a map itself has a meaning; a section symbol says which by the addend.
            name = places.maps.get((symbol.section, symbol.value + (addend if symbol.type == STT_SECTION else 0)))
            if name is None:
                raise ElfError("no map begins there")
            self._instructions.patch(index, src=_PSEUDO_MAP_FD, constant=0)
            self._references[slot] = Reference(name)
        elif symbol.section in places.data:
            offset = symbol.value + addend
            if not 0 <= offset < _OFFSET_LIMIT:
                raise ElfError(f"offset {offset} is outside of the section")
            around = places.symbols.object_around(symbol.section, offset)
            self._instructions.patch(index, src=_PSEUDO_MAP_VALUE, constant=offset << 32)
            self._references[slot] = Reference(
                places.data[symbol.section], around.name if around is not None else symbol.name or None
            )
        elif symbol.section in places.functions.by_section:
            function = places.function_at(symbol.section, symbol.value + addend)
            if function is None:
                raise ElfError(f"no function begins at byte {symbol.value + addend}")
            self._instructions.patch(index, src=_PSEUDO_FUNC, constant=0)
            self._refer_to(slot, function)
        else:
            raise ElfError(f"section {self._section_name(symbol.section)!r} holds no map, variable or function")

    def _load_extern(self, slot: int, index: int, symbol: Symbol) -> None:
        extern = self._places.externs.get(symbol.name)
        if extern is None:
            raise ElfError("it is defined nowhere, and BTF describes no such extern")
        if extern.kind is ExternKind.KCONFIG:
            self._instructions.patch(index, src=_PSEUDO_MAP_VALUE, constant=extern.offset << 32)
            self._references[slot] = Reference(_KCONFIG, extern.name)
        else:
            # An untyped symbol's address is a plain number (kallsyms).
            self._instructions.patch(index, src=0 if extern.type is None else _PSEUDO_BTF_ID, constant=0)
            self._references[slot] = Reference(extern.name)
        self._externs[slot] = extern

    def _call(self, slot: int, index: int, symbol: Symbol, src: int, constant: int) -> None:
        if src != _PSEUDO_CALL:
            raise ElfError("the instruction calls a helper")
        if symbol.is_undefined:
            extern = self._places.externs.get(symbol.name)
            if extern is None:
                self._references[slot] = Reference(symbol.name)  # for another object to define
                return
            if extern.kind is not ExternKind.KFUNC:
                raise ElfError("it is no function")
            self._instructions.patch(index, src=_PSEUDO_KFUNC_CALL, constant=0)
            self._references[slot] = Reference(extern.name)
            self._externs[slot] = extern
            return
        if symbol.section not in self._places.functions.by_section:
            raise ElfError(f"section {self._section_name(symbol.section)!r} holds no functions")
        # The immediate is the distance from the next instruction as if this one were at the symbol: -1 for a call of
        # the symbol itself, and where a static function lies for a section symbol.
        function = self._places.function_at(symbol.section, symbol.value + (constant + 1) * 8)
        if function is None:
            raise ElfError(f"no function begins at byte {symbol.value + (constant + 1) * 8}")
        self._refer_to(slot, function)

    def _name_relative_calls(self) -> None:
        """Calls of static functions in the same section have no relocation: a distance says it all."""
        instructions = self._instructions
        for index in instructions.find(_CALL, _PSEUDO_CALL):
            slot = instructions.slot_of(index)
            if slot in self._references:
                continue
            target = slot + 1 + instructions.fields(index)[4]
            function = self._places.functions.at(self._section.index, target)
            if function is None:
                raise ElfError(f"section {self._section.name!r}, byte {slot * 8:#x}: call of byte {target * 8:#x}, "
                               "where no function begins")  # fmt: skip
            self._refer_to(slot, function)

    def _refer_to(self, slot: int, function: Function) -> None:
        self._references[slot] = Reference(function.name)
        self.calls[slot] = function

    def _attach(self) -> None:
        slots = sorted(self._references)
        self._instructions.attach_slots(REFERENCE, array("I", slots), [self._references[slot] for slot in slots])
        slots = sorted(self._externs)
        self._instructions.attach_slots(EXTERN, array("I", slots), [self._externs[slot] for slot in slots])


def _signed32(constant: int) -> int:
    """The addend of a 64-bit load: its low half."""
    low = constant & 0xFFFF_FFFF
    return low - (1 << 32) if low >> 31 else low
