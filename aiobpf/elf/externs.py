"""What an object wants from the kernel by name: kernel functions, kernel symbols, kernel configuration."""

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
    from aiobpf.btf import Btf
    from aiobpf.elf.symbols import Symbol, SymbolTable

KSYMS: Final = ".ksyms"

_STB_WEAK = 2
_MAX_KCONFIG_SIZE = 1 << 20
"""More would be no configuration: the longest string option has a path in it."""


def read_externs(symbols: SymbolTable, btf: Btf | None) -> tuple[dict[str, Extern], MapSpec | None]:
    """The externs that the code refers to, by name, and the map that will hold the configuration values.

    Neither section is in the file: BTF describes them (DataSections .kconfig and .ksyms, since clang 11) and the symbol
    table has their names as undefined. An undefined symbol that BTF does not describe is no extern; if it is called, it
    is a function that another object must bring.
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
    options = [
        (each.variable, undefined[each.variable.name])
        for each in _variables(btf, KCONFIG)
        if each.variable.name in undefined
    ]
    spec = None
    if options:
        found, section = _lay_out(options)
        for extern in found:
            _put(externs, extern)
        spec = _kconfig_map(section)
    return externs, spec


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
    is_weak = symbol.bind == _STB_WEAK
    if isinstance(variable, Function):
        return Extern(variable.name, ExternKind.KFUNC, is_weak, variable)
    # `extern const void name __ksym` asks for an address from kallsyms; any other type for a variable that BTF has.
    type = variable.type  # noqa: A001
    return Extern(variable.name, ExternKind.KSYM, is_weak, None if isinstance(bare(type), Void) else type)


def _lay_out(options: list[tuple[Variable | Function, Symbol]]) -> tuple[list[Extern], DataSection]:
    """Give every option its place: no order is prescribed, so libbpf's, by alignment down, size up and name."""
    measured = []
    for variable, symbol in options:
        if not isinstance(variable, Variable):
            raise ElfError(f"extern {variable.name!r} in section {KCONFIG!r} is a function")
        try:
            size, alignment = size_of(variable.type), alignment_of(variable.type)
        except BtfError as error:
            raise ElfError(f"extern {variable.name!r} in section {KCONFIG!r}: {error}") from error
        if not size:
            raise ElfError(f"extern {variable.name!r} in section {KCONFIG!r} has no size")
        measured.append((-alignment, size, variable.name, variable, symbol))
    measured.sort(key=lambda each: each[:3])
    externs, variables = [], []
    end = 0
    for negative, size, name, variable, symbol in measured:
        offset = -(-end // -negative) * -negative
        end = offset + size
        externs.append(
            Extern(name, ExternKind.KCONFIG, symbol.bind == _STB_WEAK, variable.type, offset=offset, size=size)
        )
        # The kernel takes no extern variable in a section: in the map it is defined.
        variables.append(SectionVariable(Variable(name, variable.type, Linkage.GLOBAL), offset, size))
    if end > _MAX_KCONFIG_SIZE:
        raise ElfError(f"section {KCONFIG!r} has {end} bytes; the limit is {_MAX_KCONFIG_SIZE}")
    return externs, DataSection(KCONFIG, end, variables)


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
