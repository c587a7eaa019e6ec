"""Instructions of one object as those of the joined one: names, places and types in their metadata are the new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from aiobpf.asm import REFERENCE, SYMBOL, CallKind, Pseudo, Reference
from aiobpf.asm.opcodes import CALL_OP, LD_IMM64
from aiobpf.btf import CORE_RELOCATION, FUNCTION_INFO, Linkage
from aiobpf.elf.programs import as_static
from aiobpf.errors import SpecError
from aiobpf.spec import EXTERN, ExternKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.asm import Instructions
    from aiobpf.btf import Function
    from aiobpf.linker.inputs import Input
    from aiobpf.linker.symbols import Symbols
    from aiobpf.linker.types import JoinedTypes
    from aiobpf.spec import Extern

_OFFSET_LIMIT: Final = 1 << 32
_NAMED_LOADS: Final = frozenset({Pseudo.MAP_FD, Pseudo.MAP_VALUE, Pseudo.FUNC})


@final
class CodeMover:
    """Moves the instructions of one object; the symbols are resolved and the sections have their places."""

    def __init__(
        self,
        input: Input,  # noqa: A002
        symbols: Symbols,
        types: JoinedTypes,
        externs: Mapping[str, Extern],
        homes: Mapping[str, str],
    ) -> None:
        """*externs* are those that the result still has; *homes* say in which of its maps each section lies."""
        self.input = input
        self._symbols = symbols
        self._types = types
        self._externs = externs
        self._homes = homes

    def move(self, instructions: Instructions) -> Instructions:
        """A changed copy. Raises SpecError for a reference that leads nowhere."""
        moved = instructions.copy()
        externs = dict(moved.with_key(EXTERN))
        source, names, types = self.input, self.input.names, self._types

        def refer(index: int, reference: Reference) -> Reference:
            extern = externs.get(index)
            if extern is None:
                return self._refer(moved, index, reference)
            return self._resolve(moved, index, extern, reference)

        def describe(index: int, function: Function) -> Function:
            new = types.retarget(source, function)
            if new.linkage != Linkage.STATIC and self._is_hidden(moved.get_metadata(index, SYMBOL)):
                return as_static(new)
            return new

        moved.map_metadata(REFERENCE, refer)
        moved.map_metadata(EXTERN, lambda _, extern: self._left(extern))
        moved.map_metadata(SYMBOL, lambda _, name: names.get(name, name))
        moved.map_metadata(FUNCTION_INFO, describe)
        moved.map_metadata(CORE_RELOCATION, lambda _, relocation: types.relocation(source, relocation))
        return moved

    def _is_hidden(self, name: str | None) -> bool:
        """Whether any object says so of its function *name*."""
        found = None if name is None else self._symbols.definitions.get(name)
        return found is not None and found.export.is_hidden and found.input is self.input

    def _refer(self, moved: Instructions, index: int, reference: Reference) -> Reference:
        """A reference to something of the object itself."""
        opcode, _, src, _, constant = moved.fields(index)
        name = reference.name
        if not _refers_by_name(opcode, src):
            return reference  # to a label
        section = self.input.homes.get(name)
        if opcode == LD_IMM64 and src == Pseudo.MAP_VALUE and section is not None:
            place = constant >> 32
            variable = self.input.lost_variable(reference.variable, section, place)
            if variable is None:
                return self._load(moved, index, section, place + self.input.shifts[section], reference.variable)
            return self._load_export(moved, index, variable.name, place - variable.offset)
        new = self.input.names.get(name, name)
        return reference if new == name else Reference(new, reference.variable)

    def _resolve(self, moved: Instructions, index: int, extern: Extern, reference: Reference) -> Reference:
        """A reference to something that the object lacks, which another one may have."""
        name = extern.name
        if name not in self._symbols.definitions:
            left = self._left(extern)
            if left is not None and left.kind is ExternKind.KCONFIG:
                moved.patch(index, constant=left.offset << 32)
        elif extern.kind is ExternKind.KFUNC:  # another object's, not the kernel's
            is_call = moved.fields(index)[0] == CALL_OP
            moved.patch(index, src=CallKind.FUNCTION if is_call else Pseudo.FUNC, offset=0, constant=0)
        elif extern.kind is ExternKind.VARIABLE:
            addend = moved.fields(index)[4] >> 32
            signed = addend - _OFFSET_LIMIT if addend >= _OFFSET_LIMIT // 2 else addend
            return self._load_export(moved, index, name, signed)
        return reference

    def _left(self, extern: Extern) -> Extern | None:
        """What the result says of *extern*; None where an object defines it."""
        if extern.name in self._symbols.definitions:
            return None
        left = self._externs.get(extern.name)
        if left is None:
            raise SpecError(f"an instruction refers to extern {extern.name!r}, which {self.input.label} does not list")
        return left

    def _load_export(self, moved: Instructions, index: int, name: str, distance: int) -> Reference:
        """Load the address *distance* bytes behind the variable *name* of whatever object has it."""
        input, export = self._symbols.definitions[name]  # noqa: A001
        place = export.offset + input.shifts[export.section] + distance
        return self._load(moved, index, export.section, place, name)

    def _load(self, moved: Instructions, index: int, section: str, place: int, variable: str | None) -> Reference:
        if not 0 <= place < _OFFSET_LIMIT:
            raise SpecError(f"{self.input.label}: offset {place} is outside of section {section!r}")
        constant = moved.fields(index)[4]
        moved.patch(index, constant=constant & _OFFSET_LIMIT - 1 | place << 32)
        return Reference(self._homes[section], variable)


def _refers_by_name(opcode: int, src: int) -> bool:
    """Whether the reference of such an instruction is to a function, map or section; else it is to a label or kfunc."""
    return (opcode == CALL_OP and src == CallKind.FUNCTION) or (opcode == LD_IMM64 and src in _NAMED_LOADS)
