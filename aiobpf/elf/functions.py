"""The functions of the code sections, before their code is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from attrs import define, field

from aiobpf.errors import ElfError

if TYPE_CHECKING:
    from aiobpf.asm import Instructions
    from aiobpf.elf.file import Section
    from aiobpf.elf.symbols import Symbol, SymbolTable


_MAX_OVERLAP = 4


@define(eq=False)
class Function:
    """One function: slots *start* to *end* of its section, and once they are read, its instructions and callees."""

    name: str
    section: Section
    start: int
    end: int
    is_global: bool
    is_hidden: bool = False
    instructions: Instructions = field(init=False, repr=False)
    callees: list[Function] = field(factory=list, repr=False)
    """In the order of the instructions that refer to them, each as often as it is."""


@final
class FunctionTable:
    """All functions of an object, by place."""

    def __init__(self, code: list[Section], symbols: SymbolTable) -> None:
        self.names: set[str] = set()
        self.by_section: dict[int, list[Function]] = {}
        self._by_place: dict[tuple[int, int], Function] = {}
        for section in code:
            if section.size % 8:
                raise ElfError(f"section {section.name!r}: {section.size} bytes of code are no multiple of 8")
            functions = _read_functions(section, symbols.functions(section.index))
            for function in functions:
                self._by_place.setdefault((section.index, function.start), function)
            self.by_section[section.index] = functions
        for function in sorted(self.all(), key=lambda function: not function.is_global):
            function.name = self._unique(function)

    def _unique(self, function: Function) -> str:
        """Its name, as long as no other function has it.

        Static functions of two files may be called the same in an object that a linker made of them, or as a global
        one; a program that calls both needs two names.
        """
        name = function.name
        if name in self.names:
            if function.is_global:
                raise ElfError(f"two functions are named {name!r}, one of them in section {function.section.name!r}")
            name = f"{name}.{function.section.index}.{function.start}"
        self.names.add(name)
        return name

    def at(self, section: int, slot: int) -> Function | None:
        """The function that begins at *slot* of *section*."""
        return self._by_place.get((section, slot))

    def all(self) -> list[Function]:
        """Every function, section by section."""
        return [function for functions in self.by_section.values() for function in functions]


def _read_functions(section: Section, symbols: list[Symbol]) -> list[Function]:
    functions = []
    covered = 0
    following = section.size
    ends: list[int] = []  # of symbols without a size: they go on to the next place
    for symbol, after in zip(reversed(symbols), [None, *reversed(symbols)], strict=False):
        if after is not None and after.value > symbol.value:
            following = after.value
        ends.append(following)
    around: Function | None = None  # the one that reaches furthest
    for symbol, following in zip(symbols, reversed(ends), strict=True):
        where = f"function {symbol.name!r} of section {section.name!r}"
        # With a size there may be a gap before the next one, as `bpftool gen object` makes.
        end = symbol.value + symbol.size if symbol.size else following
        if max(symbol.value, end) > section.size:
            raise ElfError(f"{where} ends at byte {max(symbol.value, end)}, past the section's {section.size}")
        if symbol.value % 8 or end % 8:
            raise ElfError(f"{where} lies at bytes {symbol.value} to {end}, which are no multiples of 8")
        if symbol.value == end:
            raise ElfError(f"{where} is empty")
        # Two names for one function are fine; a file must not become much larger by naming its code again and again.
        covered += end - symbol.value
        if covered > section.size * _MAX_OVERLAP:
            raise ElfError(f"{where}: the functions of the section overlap")
        function = Function(symbol.name, section, symbol.value // 8, end // 8, symbol.is_global, symbol.is_hidden)
        if around is not None and around.start < function.start < around.end:
            raise ElfError(f"{where} begins inside of function {around.name!r}")
        if around is None or function.end > around.end:
            around = function
        functions.append(function)
    return functions
