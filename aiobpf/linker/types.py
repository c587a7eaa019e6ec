"""The types of all objects as one BTF, and the way from the old types to the new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast, final

from aiobpf.btf import (
    Btf,
    BtfBuilder,
    CoreRelocation,
    DataSection,
    DeclTag,
    Function,
    FunctionPrototype,
    Linkage,
    SectionVariable,
    Variable,
    deduplicate,
    join_btfs,
    size_of,
)
from aiobpf.btf.words import own_types, reference_places
from aiobpf.elf.externs import KSYMS, MAPS
from aiobpf.errors import BtfError
from aiobpf.linker.symbols import declaration_of
from aiobpf.spec import ExternKind
from aiobpf.spec.kconfig import KCONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.btf import Type
    from aiobpf.linker.inputs import Input
    from aiobpf.linker.sections import Placed, Section
    from aiobpf.linker.symbols import Symbols

_KERNELS: Final = frozenset({KCONFIG, KSYMS})
_ONE_IS_ENOUGH: Final = frozenset({"license", "version"})

T = TypeVar("T", bound="Type")


@final
class JoinedTypes:
    """The joined BTF; what was a declaration (extern) of something that an object defines is gone from it.

    `btf` is None where no object has any.
    """

    def __init__(self, inputs: Sequence[Input], symbols: Symbols, sections: Mapping[str, Section]) -> None:
        described = [each for each in inputs if each.spec.types is not None]
        self.btf: Btf | None = None
        self.sections: dict[str, DataSection] = {}
        """The value types of the data sections' maps."""
        self._ids: dict[Input, tuple[int, ...]] = {}
        if not described:
            return
        joined = join_btfs([each.spec.types for each in described if each.spec.types is not None])
        whole = deduplicate(joined.btf)
        for each, shift in zip(described, joined.shifts, strict=True):
            types = each.spec.types
            assert types is not None
            self._ids[each] = tuple(whole.ids[i + shift] if i else 0 for i in range(len(types.types)))
        self._whole = whole.btf
        builder = BtfBuilder(whole.btf.byte_order)
        self._new: dict[int, int] = {0: 0}
        kept = self._kept(self._functions(described, symbols))
        for number in kept:
            self._new[number] = builder.add(whole.btf.type_by_id(number))
        built = {}
        for section in self._data_sections(described, symbols, sections):
            built[section.name] = builder.add(section)
        self.btf = Btf.from_bytes(builder.encode())
        for name, number in built.items():
            if name in sections:
                self.sections[name] = cast("DataSection", self.btf.type_by_id(number))

    def retarget(self, input: Input, type: T) -> T:  # noqa: A002
        """What *type* of an object is now. A type of elsewhere, made by hand, stays what it is."""
        new = self._find(input, type)
        if new is not None:
            return cast("T", new)
        return cast("T", self._function(input, type)) if isinstance(type, Function) else type

    def _find(self, input: Input, type: Type) -> Type | None:  # noqa: A002
        types = input.spec.types
        if types is None or self.btf is None:
            return None
        try:
            new = self._new.get(self._ids[input][types.id_of(type)])
        except BtfError:
            return None
        return None if new is None else self.btf.type_by_id(new)

    def _function(self, input: Input, function: Function) -> Function:  # noqa: A002
        """A hidden function is made static by the reader, and so is of no BTF; its prototype is of one."""
        prototype = self.retarget(input, function.type)
        assert isinstance(prototype, FunctionPrototype)
        return Function(function.name, prototype, function.linkage, function.tags, function.parameter_tags)

    def relocation(self, input: Input, relocation: CoreRelocation) -> CoreRelocation:  # noqa: A002
        """A CO-RE relocation of an object about the joined types."""
        new = self._find(input, relocation.type)
        if new is None or self.btf is None:
            return relocation
        return CoreRelocation(self.btf.id_of(new), self.btf, relocation.access, relocation.kind)

    def _old(self, input: Input, type: T) -> T:  # noqa: A002
        """*type* among the deduplicated types, from which the new ones are made. BtfError for one made by hand."""
        types = input.spec.types
        if types is None:
            raise BtfError(f"{input.label} has no types")
        return cast("T", self._whole.type_by_id(self._ids[input][types.id_of(type)]))

    def _functions(self, inputs: Sequence[Input], symbols: Symbols) -> dict[str, int]:
        """The type of each global function that counts, or of the first declaration, by name."""
        chosen: dict[str, int] = {}
        for name, definition in symbols.definitions.items():
            found = declaration_of(definition)
            if isinstance(found, Function):
                chosen[name] = self._whole.id_of(self._old(definition.input, found))
            elif definition.export.kind is ExternKind.FUNCTION:
                chosen[name] = 0
        for each in inputs:
            for extern in each.externs:
                if extern.name not in chosen and isinstance(extern.type, Function):
                    try:
                        chosen[extern.name] = self._whole.id_of(self._old(each, extern.type))
                    except BtfError:
                        continue  # a type made by hand
        return chosen

    def _kept(self, functions: dict[str, int]) -> list[int]:
        """The types that are added for themselves: variables come with their sections, and tags with what they are on.

        Functions that do not count go, and their prototypes with them unless others have the same.
        """
        types = self._whole.types
        dropped = {
            number
            for number, each in enumerate(types)
            if isinstance(each, Function)
            and each.linkage != Linkage.STATIC
            and functions.get(each.name, number) != number
        }
        referred: set[int] = set()
        for number, words in enumerate(own_types(self._whole), 1):
            if number not in dropped:
                referred.update([words[place] for place in reference_places(words)])
        return [
            number
            for number, each in enumerate(types)
            if number
            and number not in dropped
            and not isinstance(each, DataSection | Variable | DeclTag)
            and (number in referred or not isinstance(each, FunctionPrototype))
        ]

    def _data_sections(
        self, inputs: Sequence[Input], symbols: Symbols, sections: Mapping[str, Section]
    ) -> list[DataSection]:
        made = [
            DataSection(name, section.map.value_size, [self._variable(placed) for placed in section.variables])
            for name, section in sections.items()
            if section.variables
        ]
        others: dict[str, dict[str, tuple[Input, Variable | Function, int]]] = {}
        for each in inputs:
            done = _ONE_IS_ENOUGH & others.keys()
            assert each.spec.types is not None
            for section in each.spec.types.types:
                if not isinstance(section, DataSection) or section.name in sections or section.name in done:
                    continue
                found = others.setdefault(section.name, {})
                for entry in section.variables:
                    variable = entry.variable
                    if _counts(each, symbols, section.name, variable):
                        found.setdefault(variable.name, (each, variable, entry.size))
        for name, variables in others.items():
            placed, end = [], 0
            for each, variable, size in variables.values():
                size = size or _size(variable)
                placed.append(SectionVariable(self._old(each, variable), end, size))
                end += 0 if name in _KERNELS else size  # what the kernel has lies nowhere
            if placed:
                made.append(DataSection(name, end, placed))
        return made

    def _variable(self, placed: Placed) -> SectionVariable:
        try:
            variable = self._old(placed.input, placed.variable)
        except BtfError:
            variable = placed.variable  # made by hand
        return SectionVariable(variable, placed.offset, placed.size)


def _counts(input: Input, symbols: Symbols, section: str, variable: Variable | Function) -> bool:  # noqa: A002
    """Whether an entry of a section that is no data is that of the result."""
    if section in _KERNELS:
        return variable.name in symbols.externs
    if variable.linkage == Linkage.EXTERN:
        return section == MAPS and variable.name in symbols.externs
    definition = symbols.definitions.get(variable.name)
    return section != MAPS or variable.linkage == Linkage.STATIC or definition is None or definition.input is input


def _size(variable: Variable | Function) -> int:
    try:
        return 0 if isinstance(variable, Function) else size_of(variable.type)
    except BtfError:
        return 0
