"""Files that lie, linked: an error of the library's own, in bounded time."""

from __future__ import annotations

import time
import tracemalloc
from array import array
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aiobpf
from aiobpf.btf import Btf, Kind, Type
from aiobpf.btf.words import encode_words
from aiobpf.elf.file import ElfFile
from aiobpf.errors import BtfError, ElfError, SpecError
from aiobpf.linker.compatibility import Comparison

FOLDER = Path(__file__).parent.parent / "objects" / "linking"
BUDGET_S = 4.0
FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survives(sources: list[bytes]) -> None:
    start = time.perf_counter()
    with suppress(ElfError, BtfError, SpecError):
        aiobpf.link_objects(sources)
    assert time.perf_counter() - start < BUDGET_S


@FUZZ
@given(data=st.data())
def test_any_change_of_one_object_is_survived(data: st.DataObject) -> None:
    sources = [bytearray((FOLDER / f"{name}.bpf.o").read_bytes()) for name in ("front", "back", "spare")]
    raw = sources[data.draw(st.integers(0, 2))]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(64, len(raw) - 1))
        size = data.draw(st.sampled_from((1, 2, 4, 8)))
        value = data.draw(st.sampled_from((b"\0" * 8, b"\xff" * 8, b"\1" + b"\0" * 7, b"\0" * 7 + b"\x80")))
        raw[at : at + size] = value[: min(size, len(raw) - at)]
    survives([bytes(each) for each in sources])


@FUZZ
@given(data=st.data())
def test_any_change_of_a_table_is_survived(data: st.DataObject) -> None:
    """Changes where they matter most: section headers, symbols, relocations and types."""
    sources = [bytearray((FOLDER / f"{name}.bpf.o").read_bytes()) for name in ("front", "back", "spare")]
    raw = sources[data.draw(st.integers(0, 2))]
    file = ElfFile(bytes(raw))
    tables = [
        (section.offset, section.size)
        for section in file.sections
        if section.name == ".symtab" or section.name.startswith((".rel", ".BTF"))
    ]
    tables.append((int.from_bytes(raw[40:48], "little"), 64 * len(file.sections)))
    for _ in range(data.draw(st.integers(1, 4))):
        start, size = data.draw(st.sampled_from(tables))
        at = start + data.draw(st.integers(0, max(size - 4, 0) // 4)) * 4
        value = data.draw(st.one_of(st.integers(0, 64), st.sampled_from((0xFFFF_FFFF, 0x8000_0000, 1 << 16))))
        raw[at : at + 4] = value.to_bytes(4, "little")
    survives([bytes(each) for each in sources])


def test_a_section_of_promised_zeros_takes_no_memory() -> None:
    front = aiobpf.read_spec(FOLDER / "front.bpf.o")
    back = aiobpf.read_spec(FOLDER / "back.bpf.o")
    back.maps[".bss"].value_size = 3 << 30
    tracemalloc.start()
    linked = aiobpf.link_objects([back, front])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert linked.maps[".bss"].value_size > 3 << 30
    assert peak < 16 << 20
    front.variables["front_rounds"].value = 1
    with pytest.raises(SpecError, match=r"section '\.bss' would have \d+ bytes of zeros among 8"):
        aiobpf.link_objects([back, front])


def test_two_graphs_whose_product_is_large() -> None:
    def ring(count: int) -> Type:
        """Pointers to pointers, in a circle of *count*."""
        words = [array("I", (0, Kind.PTR << 24, number % count + 1)) for number in range(1, count + 1)]
        return Btf.from_bytes(encode_words(words, b"\0", "little")).type_by_id(1)

    assert Comparison().of_types(ring(3), ring(5)) is None
    with pytest.raises(SpecError, match="too large to be compared"):
        Comparison().of_types(ring(617), ring(619))
