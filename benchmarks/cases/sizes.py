"""Objects of a known size: many programs in one collection, and programs of many instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cases.case import CommandCase
from benchmarks.cases.objects import ENTRANTS
from benchmarks.growth import sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.sizes import Sizes

PROGRAMS = 100
SIZED = "sized-"


def sized_cases(sizes: Sizes) -> Iterator[CommandCase]:
    """Compiled here, by a rule; NoCompilerError where there is no clang."""
    programs = sources.compiled(sources.programs, PROGRAMS)
    yield _case("load", f"{PROGRAMS} programs in one collection, object file to loaded", programs, PROGRAMS, sizes)
    for count in (sizes.instructions, sizes.instructions * 10):
        one = sources.compiled(sources.instructions, count)
        yield _case("open", f"A program of {count:,} instructions, object file to spec", one, 1, sizes)
        yield _case("load", f"A program of {count:,} instructions, object file to loaded", one, 1, sizes)


def _case(command: str, title: str, path: Path, programs: int, sizes: Sizes) -> CommandCase:
    return CommandCase(
        key=f"{SIZED}{command}-{path.name.removesuffix('.bpf.o')}",
        title=title,
        unit=command,
        rounds=sizes.loads,
        entrants=ENTRANTS,
        command=command,
        arguments=lambda workload: {"path": path, "repeat": 1},
        prepare=lambda workload: programs,
    )
