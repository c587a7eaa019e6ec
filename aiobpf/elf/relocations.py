"""Relocations of code: from places in sections to names on instructions.

Afterwards an instruction says what it refers to (`REFERENCE`, and `EXTERN` for what the kernel has) and its source
register says how; the number that stood for a place in this file is gone, but for an offset into a data section.

This works on the section's bytes, before they become `Instructions`: an object has more relocations than anything else
but lines, and each is then two stores.
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, final

from attrs import define, field

from aiobpf.asm import REFERENCE, Reference
from aiobpf.elf.relocation_table import R_BPF_64_32, R_BPF_64_64, R_BPF_NONE
from aiobpf.elf.symbols import STT_SECTION
from aiobpf.errors import ElfError
from aiobpf.spec.externs import EXTERN, Extern, ExternKind
from aiobpf.spec.kconfig import KCONFIG

if TYPE_CHECKING:
    from aiobpf.asm import Instructions, Key
    from aiobpf.elf.file import ElfFile, Section
    from aiobpf.elf.functions import Function, FunctionTable
    from aiobpf.elf.relocation_table import Relocation
    from aiobpf.elf.symbols import Symbol, SymbolTable

T = TypeVar("T")

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

_IMMEDIATES: Final = {"little": Struct("<i"), "big": Struct(">i")}
_UNSIGNED: Final = {"little": Struct("<I"), "big": Struct(">I")}


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
    struct_ops_sections: set[int] = field(factory=set)
    data: dict[int, str] = field(factory=dict)
    """Map name by section."""
    externs: dict[str, Extern] = field(factory=dict)
    resolved: dict[tuple[int, int], _Load] = field(factory=dict)
    """What loads came to, by symbol index and addend: the same maps and variables are loaded again and again."""

    def function_at(self, section: int, offset: int) -> Function | None:
        """The function that begins at that byte."""
        return self.functions.at(section, offset // 8) if offset % 8 == 0 else None

    def section_name(self, index: int) -> str:
        """For messages, so any index will do."""
        sections = self.file.sections
        return repr(sections[index].name) if index < len(sections) else f"{index:#x}"


class _Load(NamedTuple):
    """What a 64-bit load becomes."""

    src: int
    high: int
    """The upper 32 bits of its immediate; the lower are 0."""
    reference: Reference
    extern: Extern | None = None
    function: Function | None = None


@final
class CodeRelocator:
    """The references of one code section; *code* is changed. Use once."""

    def __init__(self, section: Section, code: bytearray, places: Places) -> None:
        self._section = section
        self._code = code
        self._places = places
        order = places.file.byte_order
        self._immediate = _IMMEDIATES[order]
        self._unsigned = _UNSIGNED[order]
        # dst and src are C bit-fields of one byte, which begin at the other end in the other byte order.
        self._src_shift = 4 if order == "little" else 0
        self._references: dict[int, Reference] = {}
        self._externs: dict[int, Extern] = {}
        self.calls: dict[int, Function] = {}
        """The functions that are called, or whose address is taken, by the slot that does it."""

    def apply(self, relocations: list[Relocation]) -> None:
        """Resolve *relocations*, and the calls within the section, which need none."""
        for relocation in relocations:
            if relocation.type != R_BPF_NONE:
                try:
                    self._apply(relocation)
                except ElfError as error:
                    where = f"section {self._section.name!r}, byte {relocation.offset:#x}"
                    what = f"relocation type {relocation.type} for {self._name(relocation.symbol)}"
                    raise ElfError(f"{where}: {what}: {error}") from None
        self._name_relative_calls()

    def attach(self, instructions: Instructions) -> None:
        """Put the references on the instructions that the code has become."""
        _attach(instructions, REFERENCE, self._references)
        _attach(instructions, EXTERN, self._externs)

    def _apply(self, relocation: Relocation) -> None:
        offset, kind = relocation.offset, relocation.type
        if kind not in {R_BPF_64_64, R_BPF_64_32}:
            raise ElfError("is not known")
        if offset % 8:
            raise ElfError("is in the middle of an instruction")
        if offset >= len(self._code):
            raise ElfError(f"is past the code's {len(self._code)} bytes")
        # The second half of a wide load has opcode 0, so it fits neither.
        opcode = self._code[offset]
        if opcode != (_LD_IMM64 if kind == R_BPF_64_64 else _CALL):
            raise ElfError(f"does not fit an instruction with opcode {opcode:#04x}")
        if kind == R_BPF_64_64:
            self._load(offset, relocation)
        else:
            self._call(offset, relocation.symbol)

    def _name(self, symbol: Symbol) -> str:
        if symbol.name or symbol.type != STT_SECTION:
            return f"symbol {symbol.name!r}"
        return f"section {self._places.section_name(symbol.section)}"

    def _load(self, offset: int, relocation: Relocation) -> None:
        """A 64-bit immediate: the address of a map, variable, function or extern."""
        if offset + 16 > len(self._code):
            raise ElfError("the second half of the 64-bit immediate load is missing")
        places = self._places
        (addend,) = self._immediate.unpack_from(self._code, offset + 4)
        key = (relocation.symbol_index, addend)
        load = places.resolved.get(key)
        if load is None:
            load = places.resolved[key] = _resolve_load(relocation.symbol, addend, places)
        self._set_src(offset, load.src)
        self._immediate.pack_into(self._code, offset + 4, 0)
        self._unsigned.pack_into(self._code, offset + 12, load.high)
        slot = offset // 8
        self._references[slot] = load.reference
        if load.extern is not None:
            self._externs[slot] = load.extern
        if load.function is not None:
            self.calls[slot] = load.function

    def _set_src(self, offset: int, src: int) -> None:
        registers = self._code[offset + 1]
        self._code[offset + 1] = registers & (0x0F << 4 - self._src_shift) | src << self._src_shift

    def _call(self, offset: int, symbol: Symbol) -> None:
        slot = offset // 8
        if self._code[offset + 1] >> self._src_shift & 0x0F != _PSEUDO_CALL:
            raise ElfError("the instruction calls a helper")
        if symbol.is_undefined:
            extern = self._places.externs.get(symbol.name)
            self._references[slot] = Reference(symbol.name)
            if extern is None:  # a call says enough, where BTF says nothing
                extern = Extern(symbol.name, ExternKind.FUNCTION, symbol.is_weak, is_hidden=symbol.is_hidden)
                self._places.externs[symbol.name] = extern
            if extern.kind is ExternKind.KFUNC:
                self._set_src(offset, _PSEUDO_KFUNC_CALL)
                self._immediate.pack_into(self._code, offset + 4, 0)
            elif extern.kind is not ExternKind.FUNCTION:
                raise ElfError("it is no function")
            self._externs[slot] = extern
            return
        if symbol.section not in self._places.functions.by_section:
            raise ElfError(f"section {self._places.section_name(symbol.section)} holds no functions")
        # The immediate is the distance from the next instruction as if this one were at the symbol: -1 for a call of
        # the symbol itself, and where a static function lies for a section symbol.
        target = symbol.value + (self._immediate.unpack_from(self._code, offset + 4)[0] + 1) * 8
        function = self._places.function_at(symbol.section, target)
        if function is None:
            raise ElfError(f"no function begins at byte {target}")
        self._refer_to(slot, function)

    def _name_relative_calls(self) -> None:
        """Calls of static functions in the same section have no relocation: a distance says it all."""
        code = self._code
        opcodes = code[::8]
        slot = opcodes.find(_CALL)
        while slot >= 0:
            if code[slot * 8 + 1] >> self._src_shift & 0x0F == _PSEUDO_CALL and slot not in self._references:
                target = slot + 1 + self._immediate.unpack_from(code, slot * 8 + 4)[0]
                function = self._places.functions.at(self._section.index, target)
                if function is None:
                    where = f"section {self._section.name!r}, byte {slot * 8:#x}"
                    raise ElfError(f"{where}: call of byte {target * 8:#x}, where no function begins")
                self._refer_to(slot, function)
            slot = opcodes.find(_CALL, slot + 1)

    def _refer_to(self, slot: int, function: Function) -> None:
        self._references[slot] = Reference(function.name)
        self.calls[slot] = function


def _attach(instructions: Instructions, key: Key[T], found: dict[int, T]) -> None:
    slots = sorted(found)
    instructions.attach_slots(key, array("I", slots), [found[slot] for slot in slots])


def _resolve_load(symbol: Symbol, addend: int, places: Places) -> _Load:
    section = symbol.section
    if symbol.is_undefined:
        return _resolve_extern(symbol, addend, places)
    if section in places.map_sections:
        # Only the address of a map itself has a meaning; a section symbol says which by the addend.
        name = places.maps.get((section, symbol.value + (addend if symbol.type == STT_SECTION else 0)))
        if name is None:
            raise ElfError("no map begins there")
        return _Load(_PSEUDO_MAP_FD, 0, Reference(name))
    if section in places.data:
        offset = symbol.value + addend
        if not 0 <= offset < _OFFSET_LIMIT:
            raise ElfError(f"offset {offset} is outside of the section")
        # A symbol with a name says it, even where the place lies outside (`table[i - 8]`); a section's does not.
        variable = symbol.name or None
        if variable is None or symbol.type == STT_SECTION:
            around = places.symbols.object_around(section, offset)
            variable = variable if around is None else around.name
        return _Load(_PSEUDO_MAP_VALUE, offset, Reference(places.data[section], variable))
    if section in places.functions.by_section:
        function = places.function_at(section, symbol.value + addend)
        if function is None:
            raise ElfError(f"no function begins at byte {symbol.value + addend}")
        return _Load(_PSEUDO_FUNC, 0, Reference(function.name), function=function)
    raise ElfError(f"section {places.section_name(section)} holds no map, variable or function")


def _resolve_extern(symbol: Symbol, addend: int, places: Places) -> _Load:
    extern = places.externs.get(symbol.name)
    if extern is None:
        raise ElfError("it is defined nowhere, and BTF describes no such extern")
    if extern.kind is ExternKind.KCONFIG:
        return _Load(_PSEUDO_MAP_VALUE, extern.offset, Reference(KCONFIG, extern.name), extern)
    if extern.kind is ExternKind.MAP:
        return _Load(_PSEUDO_MAP_FD, 0, Reference(extern.name), extern)
    if extern.kind is ExternKind.VARIABLE:  # the addend is kept: the place is added once it is known
        return _Load(_PSEUDO_MAP_VALUE, addend & _OFFSET_LIMIT - 1, Reference(extern.name), extern)
    if extern.kind is ExternKind.FUNCTION:
        return _Load(_PSEUDO_FUNC, 0, Reference(extern.name), extern)
    # An untyped symbol's address is a plain number (kallsyms).
    return _Load(0 if extern.type is None else _PSEUDO_BTF_ID, 0, Reference(extern.name), extern)
