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
    from aiobpf.linker.inputs import Input
    from aiobpf.linker.symbols import Symbols
    from aiobpf.linker.types import JoinedTypes
    from aiobpf.spec import Export, Extern

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
        for index, reference in list(moved.with_key(REFERENCE)):
            extern = externs.get(index)
            if extern is None:
                self._refer(moved, index, reference)
        for index, extern in externs.items():
            self._resolve(moved, index, extern)
        names = self.input.names
        if any(name != new for name, new in names.items()):
            moved.map_metadata(SYMBOL, lambda name: names.get(name, name))
        moved.map_metadata(FUNCTION_INFO, lambda function: self._types.retarget(self.input, function))
        moved.map_metadata(CORE_RELOCATION, lambda relocation: self._types.relocation(self.input, relocation))
        self._hide(moved)
        return moved

    def _hide(self, moved: Instructions) -> None:
        """A function that another object declares hidden is verified like a static one."""
        for index, name in list(moved.with_key(SYMBOL)):
            found = self._symbols.definitions.get(name)
            if found is not None and found.export.is_hidden and found.input is self.input:
                function = moved.get_metadata(index, FUNCTION_INFO)
                if function is not None and function.linkage != Linkage.STATIC:
                    moved.set_metadata(index, FUNCTION_INFO, as_static(function))

    def _refer(self, moved: Instructions, index: int, reference: Reference) -> None:
        opcode, _, src, _, constant = moved.fields(index)
        name = reference.name
        if not _refers_by_name(opcode, src):
            return  # a label
        section = self.input.homes.get(name)
        if opcode == LD_IMM64 and src == Pseudo.MAP_VALUE and section is not None:
            place = constant >> 32
            variable = self._lost(reference.variable, section, place)
            if variable is None:
                self._load(moved, index, section, place + self.input.shifts[section], reference.variable)
            else:
                self._load_export(moved, index, variable.name, place - variable.offset)
            return
        new = self.input.names.get(name, name)
        if new != name:
            moved.set_metadata(index, REFERENCE, Reference(new, reference.variable))

    def _lost(self, name: str | None, section: str, place: int) -> Export | None:
        """The variable of that name, if another object's comes before it."""
        if name is None or name not in self.input.lost:
            return None
        export = self.input.exports[name]
        if export.kind is not ExternKind.VARIABLE or export.section != section:
            return None
        for other_name, start, size in self.input.places(section):
            # A static variable of the same name, of a file that was linked into this object before.
            if other_name == name and start != export.offset and start <= place < start + size:
                return None
        return export

    def _resolve(self, moved: Instructions, index: int, extern: Extern) -> None:
        name = extern.name
        if name not in self._symbols.definitions:
            new = self._externs.get(name)
            if new is None:
                raise SpecError(f"an instruction refers to extern {name!r}, which {self.input.label} does not list")
            moved.set_metadata(index, EXTERN, new)
            if new.kind is ExternKind.KCONFIG:
                moved.patch(index, constant=new.offset << 32)
            return
        moved.set_metadata(index, EXTERN, None)
        if extern.kind is ExternKind.KFUNC:  # another object's, not the kernel's
            is_call = moved.fields(index)[0] == CALL_OP
            moved.patch(index, src=CallKind.FUNCTION if is_call else Pseudo.FUNC, offset=0, constant=0)
        if extern.kind is ExternKind.VARIABLE:
            addend = moved.fields(index)[4] >> 32
            self._load_export(moved, index, name, addend - _OFFSET_LIMIT if addend >= _OFFSET_LIMIT // 2 else addend)

    def _load_export(self, moved: Instructions, index: int, name: str, distance: int) -> None:
        """Load the address *distance* bytes behind the variable *name* of whatever object has it."""
        input, export = self._symbols.definitions[name]  # noqa: A001
        self._load(moved, index, export.section, export.offset + input.shifts[export.section] + distance, name)

    def _load(self, moved: Instructions, index: int, section: str, place: int, variable: str | None) -> None:
        if not 0 <= place < _OFFSET_LIMIT:
            raise SpecError(f"{self.input.label}: offset {place} is outside of section {section!r}")
        constant = moved.fields(index)[4]
        moved.patch(index, constant=constant & _OFFSET_LIMIT - 1 | place << 32)
        moved.set_metadata(index, REFERENCE, Reference(self._homes[section], variable))


def _refers_by_name(opcode: int, src: int) -> bool:
    """Whether the reference of such an instruction is to a function, map or section; else it is to a label or kfunc."""
    return (opcode == CALL_OP and src == CallKind.FUNCTION) or (opcode == LD_IMM64 and src in _NAMED_LOADS)
