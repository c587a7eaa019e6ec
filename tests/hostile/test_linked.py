"""Hostile objects given to the linker, each beside a good one: a named error, or a spec, within the same bounds."""

from __future__ import annotations

import pytest

from aiobpf import link_objects
from aiobpf.elf.file import SHT_NOBITS
from aiobpf.errors import BtfError, ElfError, SpecError
from tests.fuzz.limits import bounded
from tests.hostile.patch import OBJECTS, Patch, patched, read
from tests.hostile.test_catalogue import VECTORS, Vector

pytestmark = pytest.mark.slow


# Types are deduplicated in linear time, 25 us each: of 100,000 that is no matter of hostility.
QUICK = [vector for vector in VECTORS if not vector.name.startswith("100,000")]


@pytest.mark.parametrize("vector", QUICK, ids=lambda vector: vector.name.replace(" ", "-"))
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_a_hostile_object_is_refused_by_name_or_linked(vector: Vector, is_first: bool) -> None:
    # libbpf #945 (bpf_linker__add_buf of a malformed object), #804.
    good = (OBJECTS / "linking" / "spare.bpf.o").read_bytes()
    sources = [vector.make(), good] if is_first else [good, vector.make()]
    with bounded():
        try:
            assert repr(link_objects(sources))
        except (ElfError, BtfError, SpecError) as error:
            assert str(error)


def test_zeros_by_the_gigabyte_are_linked_as_a_number_or_refused() -> None:
    first = patched("globals").set_section(".bss", size=3 << 30).data
    second = Patch(read("globals")).set_section(".bss", size=3 << 30).data
    with bounded(), pytest.raises((ElfError, SpecError)):
        link_objects([bytes(first), bytes(second)])


def test_data_beside_zeros_by_the_gigabyte_takes_no_memory() -> None:
    """One object has bytes in .data, the other only says how many there are."""
    front = (OBJECTS / "linking" / "front.bpf.o").read_bytes()
    hostile = Patch((OBJECTS / "linking" / "back.bpf.o").read_bytes())
    section = next(each.name for each in hostile.file.sections if each.name.startswith((".data", ".rodata", ".bss")))
    hostile.set_section(section, type=SHT_NOBITS, size=3 << 30)
    with bounded():
        try:
            link_objects([front, bytes(hostile.data)])
        except (ElfError, SpecError) as error:
            assert section in str(error)
