"""A load does the same things in the same order each time, whatever the order of names."""

from __future__ import annotations

from pathlib import Path

import pytest

import aiobpf
from aiobpf import kernel

from .objects import subprograms

OBJECTS = Path(__file__).parent.parent / "objects"

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


async def test_maps_and_programs_are_made_in_the_order_of_their_spec() -> None:
    spec = subprograms()
    for _ in range(2):
        async with aiobpf.load(spec) as coll:
            assert list(coll.maps) == [name for name in spec.maps if name in coll.maps]
            assert list(coll.programs) == [name for name, program in spec.programs.items() if program.autoload]
            # The kernel's ids rise with each object that is made.
            maps = [each.info().id for each in coll.maps.values()]
            programs = [kernel.program_info(each._fd).id for each in coll.programs.values()]
            assert maps == sorted(maps)
            assert programs == sorted(programs)
            assert len(maps) > 1
            assert len(programs) > 1
