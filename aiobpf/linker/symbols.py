"""Which object's symbol counts: strong before weak, the first before other weak ones, one strong at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

from attrs import evolve

from aiobpf.btf import FUNCTION_INFO, Function, Linkage, Variable
from aiobpf.elf.maps_btf import read_declaration
from aiobpf.errors import SpecError
from aiobpf.linker.compatibility import Comparison
from aiobpf.spec import Export, Extern, ExternKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiobpf.btf import Type
    from aiobpf.linker.inputs import Input


class Definition(NamedTuple):
    """A symbol and the object that has it."""

    input: Input
    export: Export


@final
class Symbols:
    """All symbols of all objects, resolved. Raises SpecError that names the symbol and both objects."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self.definitions: dict[str, Definition] = {}
        """The one that counts, by name; hidden if any object says so."""
        self.externs: dict[str, tuple[Input, Extern]] = {}
        """What all of the objects together lack, and the object whose BTF has its type."""
        self._comparison = Comparison()
        for each in inputs:
            for export in each.exports.values():
                self._define(Definition(each, export))
        for each in inputs:
            for extern in each.externs:
                found = self.definitions.get(extern.name)
                if found is not None:
                    self._check_extern(found, each, extern)
                    if extern.is_hidden:
                        self._hide(extern.name)
                else:
                    before = self.externs.get(extern.name)
                    self.externs[extern.name] = (
                        (each, extern) if before is None else self._merged(*before, each, extern)
                    )
        self._name_statics(inputs)

    def _define(self, new: Definition) -> None:
        name = new.export.name
        old = self.definitions.get(name)
        if old is None:
            self.definitions[name] = new
            return
        if not old.export.is_weak and not new.export.is_weak:
            raise SpecError(
                f"{new.export.kind.value} {name!r} is defined by both {old.input.label} and {new.input.label}: one of "
                "them must be weak (__weak), static, or only declared (extern)"
            )
        self._check_definitions(old, new)
        winner, loser = (new, old) if old.export.is_weak and not new.export.is_weak else (old, new)
        loser.input.lost.add(name)
        self.definitions[name] = winner
        if loser.export.is_hidden:
            self._hide(name)

    def _hide(self, name: str) -> None:
        found = self.definitions[name]
        self.definitions[name] = found._replace(export=found.export._replace(is_hidden=True))

    def _check_extern(self, found: Definition, input: Input, extern: Extern) -> None:  # noqa: A002
        what = f"{extern.kind.value} {extern.name!r}"
        # A kernel function may be one of another object, as libbpf has it: one's own, where the kernel's is missing.
        is_function = extern.kind is ExternKind.KFUNC and found.export.kind is ExternKind.FUNCTION
        if extern.kind.is_of_kernel and not is_function:
            raise SpecError(
                f"{what} is to be the kernel's in {input.label}, but {found.input.label} defines a "
                f"{found.export.kind.value} of that name"
            )
        _require_kind(found, input, ExternKind.FUNCTION if is_function else extern.kind)
        difference = None
        if extern.kind is ExternKind.MAP:
            if extern.type is not None:
                declared = read_declaration(extern.name, extern.type)
                difference = "; ".join(self._comparison.of_maps(found.input.spec.maps[extern.name], declared))
        else:
            if extern.section and extern.section != found.export.section:
                raise SpecError(
                    f"{what} is declared in section {extern.section} by {input.label}, and defined in section "
                    f"{found.export.section} by {found.input.label}"
                )
            difference = self._comparison.of_types(type_of(found), extern.type)
        if difference:
            raise SpecError(f"{what} of {found.input.label} is declared otherwise in {input.label}: {difference}")

    def _check_definitions(self, old: Definition, new: Definition) -> None:
        name = new.export.name
        _require_kind(old, new.input, new.export.kind)
        if old.export.kind is ExternKind.MAP:
            difference = "; ".join(self._comparison.of_maps(old.input.spec.maps[name], new.input.spec.maps[name]))
        else:
            difference = self._comparison.of_types(type_of(old), type_of(new)) or ""
        if difference:
            raise SpecError(
                f"{old.export.kind.value} {name!r} of {old.input.label} is defined otherwise in {new.input.label}: "
                f"{difference}"
            )

    def _merged(self, first: Input, old: Extern, second: Input, new: Extern) -> tuple[Input, Extern]:
        """Two declarations of what nobody defines: needed if one needs it."""
        what = f"extern {old.name!r}"
        if old.kind is not new.kind:
            raise SpecError(f"{what} is a {old.kind.value} in {first.label} and a {new.kind.value} in {second.label}")
        if old.section and new.section and old.section != new.section:
            raise SpecError(
                f"{what} is in section {old.section} in {first.label}, and in {new.section} in {second.label}"
            )
        if old.kind is ExternKind.KSYM and (old.type is None) != (new.type is None):
            raise SpecError(f"{what} has a type in one of {first.label} and {second.label} and none in the other")
        difference = self._comparison.of_types(old.type, new.type)
        if difference is not None:
            raise SpecError(f"{what} of {first.label} is declared otherwise in {second.label}: {difference}")
        merged = evolve(
            old,
            is_weak=old.is_weak and new.is_weak,
            type=old.type if old.type is not None else new.type,
            section=old.section or new.section,
            is_hidden=old.is_hidden or new.is_hidden,
        )
        return second if old.type is None else first, merged

    def _name_statics(self, inputs: Sequence[Input]) -> None:
        """Give static functions and maps names of their own: references go by name, and now there is one space."""
        taken = {*self.definitions, *self.externs}
        for each in inputs:
            taken.update(each.sections)
        for each in inputs:
            for name in [*each.bodies, *each.maps]:
                if name in each.exports or name in each.names:
                    continue
                new, number = name, each.number
                while new in taken:
                    new = f"{name}.{number}"
                    number += 1
                taken.add(new)
                each.names[name] = new


def type_of(definition: Definition) -> Type | None:
    """The BTF type of a function or variable; None where its object has none for it."""
    input, export = definition  # noqa: A001
    if export.kind is ExternKind.FUNCTION:
        body = input.bodies[export.name]
        return body.get_metadata(0, FUNCTION_INFO) if len(body) else None
    if export.kind is ExternKind.VARIABLE:
        described = input.described().get((export.section, export.name), {}).get(export.offset)
        return None if described is None else described.variable.type
    return None


def declaration_of(definition: Definition) -> Function | Variable | None:
    """The BTF declaration of a symbol in its own object's types."""
    types, export = definition.input.spec.types, definition.export
    if types is None:
        return None
    kind = Function if export.kind is ExternKind.FUNCTION else Variable
    for each in types.all_by_name(export.name, kind):
        if isinstance(each, Function | Variable) and each.linkage == Linkage.GLOBAL:
            return each
    return None


def _require_kind(found: Definition, input: Input, kind: ExternKind) -> None:  # noqa: A002
    if found.export.kind is not kind:
        raise SpecError(
            f"{found.export.name!r} is a {found.export.kind.value} in {found.input.label} and a {kind.value} in "
            f"{input.label}"
        )
