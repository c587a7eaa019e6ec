"""Object files that grow: in instructions, programs, relocations, maps, types, and length of a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiobpf
from aiobpf.btf import CORE_RELOCATION
from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.errors import VerifierError
from benchmarks.growth import sources
from benchmarks.growth.cost import cpu_ns, held_bytes
from benchmarks.growth.curve import Curve, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from aiobpf import CollectionSpec
    from aiobpf.collection.load import Loaded

BY_TEN: Final = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


def _up_to(most: int) -> tuple[int, ...]:
    return tuple(size for size in BY_TEN if size <= most)


def _count_instructions(spec: CollectionSpec) -> int:
    return sum(len(program.instructions) for program in spec.programs.values())


def _count_relocations(spec: CollectionSpec) -> int:
    return sum(1 for program in spec.programs.values() for _ in program.instructions.with_key(CORE_RELOCATION))


def _count_types(spec: CollectionSpec) -> int:
    return 0 if spec.types is None else len(spec.types.types)


Family = tuple[str, "Callable[[int], str]", "tuple[int, ...]", "Callable[[CollectionSpec], int]"]

FAMILIES: Final[tuple[Family, ...]] = (
    ("instructions", sources.instructions, _up_to(100_000), _count_instructions),
    ("programs", sources.programs, (1, 3, 10, 30, 100, 200), lambda spec: len(spec.programs)),
    ("relocations", sources.relocations, _up_to(10_000), _count_relocations),
    ("maps", sources.maps, (1, 3, 10, 30, 100, 300, 1_000), lambda spec: len(spec.maps)),
    ("types", sources.types, _up_to(10_000), _count_types),
)


def curves(wanted: Callable[[str], bool], most: int | None = None) -> Iterator[Curve]:
    """Each family: reading, what the spec holds, and loading without the kernel's part of it; *most* sizes of each.

    NoCompilerError where there is no clang.
    """
    for name, rule, all_sizes, count in FAMILIES:
        sizes = all_sizes[:most]
        if any(wanted(f"{stage}/{name}") for stage in ("read", "hold", "load")):
            files = [sources.compiled(rule, size) for size in sizes]
            counts = [count(aiobpf.read_spec(file)) for file in files]
            if wanted(f"read/{name}"):
                yield _curve("read", "Object to spec", name, files, counts, _read)
            if wanted(f"hold/{name}"):
                yield _curve("hold", "What a spec holds", name, files, counts, _hold, is_memory=True)
            if wanted(f"load/{name}"):
                yield _curve("load", "Spec to loaded collection", name, files, counts, _load)
    if wanted("refuse/instructions"):
        sizes = _up_to(100_000)[:most]
        files = [sources.compiled(sources.refused, size) for size in sizes]
        counts = [_count_instructions(aiobpf.read_spec(file)) for file in files]
        yield _curve("refuse", "A refused program and its message", "instructions", files, counts, _refuse)


def _curve(
    stage: str,
    title: str,
    counted: str,
    files: Sequence[Path],
    counts: Sequence[int],
    cost: Callable[[Path], int],
    *,
    is_memory: bool = False,
) -> Curve:
    points = tuple(Point(count, cost(file)) for file, count in zip(files, counts, strict=True))
    return Curve(f"{stage}/{counted}", title, counted, points, is_memory)


def _read(file: Path) -> int:
    data = file.read_bytes()
    return cpu_ns(lambda: aiobpf.read_spec(data))


def _hold(file: Path) -> int:
    data = file.read_bytes()
    return held_bytes(lambda: aiobpf.read_spec(data))


def _load(file: Path) -> int:
    spec = aiobpf.read_spec(file)

    def close(loaded: Loaded) -> None:
        loaded.close()

    return cpu_ns(lambda: load_collection(spec, LoadPlan()), close)


def _refuse(file: Path) -> int:
    spec = aiobpf.read_spec(file)

    def refuse() -> str:
        try:
            load_collection(spec, LoadPlan()).close()
        except VerifierError as error:
            return str(error)
        raise AssertionError("the verifier takes the program")

    return cpu_ns(refuse)
