"""Code sections to functions, and the functions that are programs.

A section is read as a whole: its code with its relocations, then what .BTF.ext says about it, each put on the
instructions; only then is it cut into functions, and nothing needs to be cut with it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from aiobpf.asm import SYMBOL, Instructions
from aiobpf.btf import FUNCTION_INFO, Function, Linkage
from aiobpf.elf.linker import Linker
from aiobpf.elf.relocation_table import read_relocations
from aiobpf.elf.relocations import CodeRelocator
from aiobpf.errors import AsmError, BtfError, ElfError
from aiobpf.spec.program import ProgramSpec
from aiobpf.spec.sections import parse_section

if TYPE_CHECKING:
    from aiobpf.btf import Btf, ExtInfos
    from aiobpf.elf.file import ElfFile, Section
    from aiobpf.elf.functions import Function as ElfFunction
    from aiobpf.elf.relocations import Places
    from aiobpf.spec.map import MapSpec

_EVERYTHING = 1 << 32
_LIBRARY = ".text"
"""Where functions without SEC() go: called by programs, none themselves."""


def read_code(file: ElfFile, section: Section, table: Section | None, places: Places, infos: ExtInfos | None) -> None:
    """Give every function of *section* its instructions, with all their metadata, and its callees."""
    functions = places.functions.by_section[section.index]
    if not functions:
        return
    code = bytearray(file.data(section))
    relocator = CodeRelocator(section, code, places)
    relocator.apply([] if table is None else read_relocations(file, table, places.symbols))
    try:
        instructions = Instructions.decode(code, file.byte_order)
        relocator.attach(instructions)
    except AsmError as error:
        raise ElfError(f"section {section.name!r}: {error}") from error
    found = None if infos is None else infos.section(section.name)
    if found is not None:
        try:
            found.assign(instructions, 0, end_slot=_EVERYTHING)  # a record past the last instruction is an error
            _mark_hidden(instructions, functions)
        except (AsmError, BtfError) as error:
            raise ElfError(f"section {section.name!r}: .BTF.ext: {error}") from error
    _split(section, instructions, functions, relocator.calls)


def _mark_hidden(instructions: Instructions, functions: list[ElfFunction]) -> None:
    """Make the BTF function of each hidden one static, as libbpf does.

    Hidden is global to the objects that are linked, and local to the program: the verifier shall not check it by its
    prototype alone, but with what each caller passes.
    """
    for function in functions:
        if function.is_hidden:
            index = instructions.index_of_slot(function.start)
            described = instructions.get_metadata(index, FUNCTION_INFO)
            if described is not None:
                instructions.set_metadata(index, FUNCTION_INFO, as_static(described))


def as_static(function: Function) -> Function:
    """The same BTF function, static."""
    return Function(function.name, function.type, Linkage.STATIC, function.tags, function.parameter_tags)


def _split(
    section: Section, instructions: Instructions, functions: list[ElfFunction], calls: dict[int, ElfFunction]
) -> None:
    starts = sorted({function.start: function.name for function in reversed(functions)}.items())
    try:
        instructions.attach_slots(SYMBOL, array("I", [start for start, _ in starts]), [name for _, name in starts])
        end = instructions.slot_count
        for function in functions:
            if len(functions) == 1 and (function.start, function.end) == (0, end):
                function.instructions = instructions  # most sections hold one program and nothing else
                break
            first = instructions.index_of_slot(function.start)
            last = len(instructions) if function.end == end else instructions.index_of_slot(function.end)
            function.instructions = instructions[first:last]
    except AsmError as error:
        raise ElfError(f"section {section.name!r}: {error}") from error
    places = sorted(calls)
    for function in functions:
        mine = places[bisect_left(places, function.start) : bisect_left(places, function.end)]
        function.callees = [calls[slot] for slot in mine]


def read_programs(
    file: ElfFile,
    places: Places,
    *,
    license: str,  # noqa: A002
    kernel_version: int,
    types: Btf | None,
    maps: dict[str, MapSpec],
) -> tuple[dict[str, ProgramSpec], dict[str, Instructions]]:
    """The programs, every function outside of ``.text`` that is not static, linked with what it calls; and the others.

    A function alone in an object is a program wherever it is, as libbpf has it. `ProgramSpec.section` is without the
    "?" of the section's name, which `autoload` has.
    """
    functions = places.functions.all()
    entries = [
        function
        for function in functions
        if (function.section.name != _LIBRARY and function.is_global) or len(functions) == 1
    ]
    programs: dict[str, ProgramSpec] = {}
    linker = Linker()
    for function in entries:
        section = parse_section(function.section.name)
        programs[function.name] = ProgramSpec(
            name=function.name,
            type=section.type,
            instructions=linker.link(function),
            section=section.name.removeprefix("?"),
            attach_type=section.attach_type,
            attach_to=section.attach_to,
            license=license,
            flags=int(section.flags),
            kernel_version=kernel_version,
            byte_order=file.byte_order,
            autoload=section.autoload,
            types=types,
            maps=maps,
        )
    others = {function.name: function.instructions for function in functions if function.name not in programs}
    return programs, others
