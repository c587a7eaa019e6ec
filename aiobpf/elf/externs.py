"""What an object refers to and does not have: kernel functions, symbols and configuration; what other objects bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf.btf import DataSection, Function, Linkage, SectionVariable, Variable, Void, alignment_of, size_of
from aiobpf.btf import strip_qualifiers as bare
from aiobpf.errors import BtfError, ElfError
from aiobpf.spec.externs import Extern, ExternKind
from aiobpf.spec.kconfig import KCONFIG
from aiobpf.spec.map import MapSpec
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.btf import Btf
    from aiobpf.elf.symbols import Symbol, SymbolTable

KSYMS: Final = ".ksyms"
MAPS: Final = ".maps"

_MAX_KCONFIG_SIZE = 1 << 20
"""More would be no configuration: the longest string option has a path in it."""


def read_externs(symbols: SymbolTable, btf: Btf | None) -> tuple[dict[str, Extern], MapSpec | None]:
    """The externs that the code refers to, by name, and the map that will hold the configuration values.

    Neither section is in the file: BTF describes them (DataSections .kconfig and .ksyms, since clang 11) and the symbol
    table has their names as undefined. What else BTF declares is for another object to define. An undefined symbol that
    BTF does not describe is no extern, unless it is called.
    """
    undefined = {symbol.name: symbol for symbol in symbols.undefined()}
    if btf is None or not undefined:
        return {}, None
    externs: dict[str, Extern] = {}
    for each in _variables(btf, KSYMS):
        variable = each.variable
        symbol = undefined.get(variable.name)
        if symbol is not None:
            _put(externs, _ksym(variable, symbol))
    options = []
    for each in _variables(btf, KCONFIG):
        variable = each.variable
        symbol = undefined.get(variable.name)
        if symbol is not None:
            if not isinstance(variable, Variable):
                raise ElfError(f"extern {variable.name!r} in section {KCONFIG!r} is a function")
            options.append(Extern(variable.name, ExternKind.KCONFIG, symbol.is_weak, variable.type))
    found, spec = lay_out_kconfig(options)
    for extern in found:
        _put(externs, extern)
    for extern in _of_other_objects(btf, [symbol for name, symbol in undefined.items() if name not in externs]):
        _put(externs, extern)
    return externs, spec


def _of_other_objects(btf: Btf, undefined: list[Symbol]) -> Iterator[Extern]:
    sections: dict[str, str] | None = None
    for symbol in undefined:
        name = symbol.name
        functions = [each for each in btf.all_by_name(name, Function) if each.linkage == Linkage.EXTERN]
        variables = [each for each in btf.all_by_name(name, Variable) if each.linkage == Linkage.EXTERN]
        if functions:
            yield Extern(name, ExternKind.FUNCTION, symbol.is_weak, functions[0], is_hidden=symbol.is_hidden)
        elif variables:
            if sections is None:
                sections = _section_of_each(btf)
            section = sections.get(name, "")
            kind = ExternKind.MAP if section == MAPS else ExternKind.VARIABLE
            yield Extern(name, kind, symbol.is_weak, variables[0].type, section=section, is_hidden=symbol.is_hidden)


def _section_of_each(btf: Btf) -> dict[str, str]:
    """The section of each variable that is only declared; one without SEC() has none."""
    return {
        each.variable.name: section.name
        for section in btf.types
        if isinstance(section, DataSection)
        for each in section.variables
        if each.variable.linkage == Linkage.EXTERN
    }


def _variables(btf: Btf, name: str) -> tuple[SectionVariable, ...]:
    found = btf.all_by_name(name, DataSection)
    if not found:
        return ()
    if len(found) > 1:
        raise ElfError(f"BTF describes section {name!r} twice")
    section = found[0]
    assert isinstance(section, DataSection)
    return section.variables


def _put(externs: dict[str, Extern], extern: Extern) -> None:
    if extern.name in externs:
        raise ElfError(f"extern {extern.name!r} is described twice")
    externs[extern.name] = extern


def _ksym(variable: Variable | Function, symbol: Symbol) -> Extern:
    is_weak = symbol.is_weak
    if isinstance(variable, Function):
        return Extern(variable.name, ExternKind.KFUNC, is_weak, variable)
    # `extern const void name __ksym` asks for an address from kallsyms; any other type for a variable that BTF has.
    type = variable.type  # noqa: A001
    return Extern(variable.name, ExternKind.KSYM, is_weak, None if isinstance(bare(type), Void) else type)


def lay_out_kconfig(options: list[Extern]) -> tuple[list[Extern], MapSpec | None]:
    """Every option with its place, and the map that has them; None for no option.

    No order is prescribed, so libbpf's: by alignment down, size up and name.
    """
    if not options:
        return [], None
    measured = []
    for extern in options:
        try:
            if extern.type is None:
                raise BtfError("it has no type")
            size, alignment = size_of(extern.type), alignment_of(extern.type)
        except BtfError as error:
            raise ElfError(f"extern {extern.name!r} in section {KCONFIG!r}: {error}") from error
        if not size:
            raise ElfError(f"extern {extern.name!r} in section {KCONFIG!r} has no size")
        measured.append((-alignment, size, extern.name, extern.type, extern.is_weak))
    measured.sort(key=lambda each: each[:3])
    externs, variables = [], []
    end = 0
    for negative, size, name, type, is_weak in measured:  # noqa: A001
        offset = -(-end // -negative) * -negative
        end = offset + size
        externs.append(Extern(name, ExternKind.KCONFIG, is_weak, type, offset=offset, size=size))
        # The kernel takes no extern variable in a section: in the map it is defined.
        variables.append(SectionVariable(Variable(name, type, Linkage.GLOBAL), offset, size))
    if end > _MAX_KCONFIG_SIZE:
        raise ElfError(f"section {KCONFIG!r} has {end} bytes; the limit is {_MAX_KCONFIG_SIZE}")
    return externs, _kconfig_map(DataSection(KCONFIG, end, variables))


def _kconfig_map(section: DataSection) -> MapSpec:
    """A read-only map without contents: the loader fills it from the running kernel's configuration."""
    return MapSpec(
        name=KCONFIG,
        type=MapType.ARRAY,
        key_size=4,
        value_size=section.size,
        max_entries=1,
        flags=MapFlags.RDONLY_PROG,
        value=section,
        is_frozen=True,
        section=KCONFIG,
    )
