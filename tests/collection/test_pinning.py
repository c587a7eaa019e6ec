"""Everything of a collection pinned at once, and found again after it is closed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.kernel import ObjectKind
from aiobpf.link import Link
from aiobpf.runtime import Map, Program
from aiobpf.runtime.map_create import require_compatible
from aiobpf.spec import MapSpec
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Iterator

OBJECTS = Path(__file__).parent.parent / "objects"

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


async def test_a_collection_is_found_again_by_its_names(bpffs: Path) -> None:
    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        paths = coll.pin(bpffs / "mine")
        await coll.programs["count"].run(bytes(64))
        expected = coll.variables["zero"].value
        kinds = {pin.path: pin.kind async for pin in aiobpf.pins.walk(bpffs / "mine")}
        assert kinds.keys() == set(paths)
        assert kinds[str(bpffs / "mine" / "count")] is ObjectKind.PROGRAM
        assert kinds[str(bpffs / "mine" / "_bss")] is ObjectKind.MAP
    async with Program.from_pin(bpffs / "mine" / "count") as count, Map.from_pin(bpffs / "mine" / "_bss") as bss:
        assert (await bss.typed_by_kernel())[0].zero == expected
        await count.run(bytes(64))
        assert (await bss.typed_by_kernel())[0].zero != expected


async def test_a_name_that_is_taken_takes_all_back(bpffs: Path) -> None:
    async with aiobpf.load(OBJECTS / "globals.bpf.o", programs=["count"]) as coll:
        blocker = bpffs / "mine" / "_bss"
        coll.maps[".data"].pin(blocker)
        with pytest.raises(KernelError, match=r"map '.bss' at .*EEXIST"):
            coll.pin(bpffs / "mine")
        assert os.listdir(bpffs / "mine") == ["_bss"]
        assert coll.programs["count"].pin_path is None


async def test_links_stay_attached_by_their_names(bpffs: Path) -> None:
    async with aiobpf.load(OBJECTS / "core.bpf.o", programs=["ask"]) as coll:
        links = await coll.attach()
        try:
            (path,) = links.pin(bpffs / "links")
        except NotSupportedError:  # before 5.15 a tracepoint has no link
            await links.aclose()
            return
        number = (await links.links["ask"].info()).id
        await links.aclose()
        assert number in set(Link.ids())
        async with await Link.from_pin(path) as link:
            link.unpin()
        assert number not in set(Link.ids())
        async with coll.attach() as links:
            links.pin(bpffs / "links")
            links.unpin()
            assert os.listdir(bpffs / "links") == []


@pytest.mark.requires("bloom filters")
async def test_each_difference_of_a_pinned_map_is_listed(bpffs: Path) -> None:
    filter_ = MapSpec(name="seen", type=MapType.BLOOM_FILTER, key_size=0, value_size=4, max_entries=8, map_extra=3)
    async with Map.create(filter_) as made:
        require_compatible(made, filter_, "it")
        other = filter_.copy()
        other.map_extra, other.max_entries, other.value_size = 4, 9, 8
        with pytest.raises(SpecError, match="value_size 4 instead of 8, max_entries 8 instead of 9, map_extra 0x3"):
            require_compatible(made, other, "it")
