"""Names in a bpffs: given, walked, found again, taken away; and what is there that is none."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf import asm, kernel
from aiobpf.asm import R0, Instructions
from aiobpf.errors import KernelError, SpecError
from aiobpf.kernel import ObjectKind
from aiobpf.link import Link, RawTracepoint
from aiobpf.runtime import Map, Program
from aiobpf.spec import MapSpec, ProgramSpec
from aiobpf.uapi import MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRACED = ProgramSpec(
    name="traced",
    type=ProgramType.RAW_TRACEPOINT,
    license="GPL",
    instructions=Instructions([asm.mov(R0, 0), asm.exit_()]),
)
TABLE = MapSpec(name="table", type=MapType.HASH, key_size=4, value_size=8, max_entries=3)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpffs of the test's own."""
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


async def walked(directory: Path) -> list[aiobpf.pins.Pin]:
    """Without the iterators that a kernel with CONFIG_BPF_PRELOAD pins in a bpffs of its own accord."""
    return [pin async for pin in aiobpf.pins.walk(directory) if not pin.path.endswith(".debug")]


@pytest.mark.shows("pin")
async def test_a_program_and_its_link_outlive_their_owners_by_their_pins(bpffs: Path) -> None:
    async with Program.load(TRACED) as program, program.attach(RawTracepoint("sys_enter")) as link:
        program.pin(bpffs / "program")
        link.pin(bpffs / "link")
        number, link_number = program.id, (await link.info()).id
    async with Program.from_pin(bpffs / "program") as again, await Link.from_pin(bpffs / "link") as link:
        assert again.id == number
        assert again.pin_path == str(bpffs / "program")
        assert (await link.info()).program_id == number
        link.unpin()
        again.unpin()
        again.unpin()
    assert link_number not in set(Link.ids())
    assert await walked(bpffs) == []


async def test_a_walk_meets_every_pin_by_name_with_its_kind(bpffs: Path) -> None:
    async with (
        Program.load(TRACED) as program,
        Map.create(TABLE) as table,
        program.attach(RawTracepoint("sys_enter")) as link,
    ):
        table.pin(bpffs / "b" / "deeper" / "table")
        program.pin(bpffs / "a" / "program")
        link.pin(bpffs / "link")
        link_number = (await link.info()).id
        pins = await walked(bpffs)
        assert [(os.path.relpath(pin.path, bpffs), pin.kind, pin.id) for pin in pins] == [
            ("a/program", ObjectKind.PROGRAM, program.id),
            ("b/deeper/table", ObjectKind.MAP, table.id),
            ("link", ObjectKind.LINK, link_number),
        ]
        assert os.stat(bpffs / "b").st_mode & 0o777 == 0o700
        for pin, kind in zip(pins, (Program, Map, Link), strict=True):
            async with await pin.open() as taken:
                assert isinstance(taken, kind)
        link.unpin()
        with pytest.raises(FileNotFoundError):
            await pins[2].open()
        os.rename(bpffs / "a" / "program", bpffs / "link")
        with pytest.raises((SpecError, KernelError)):
            await pins[2].open()
        async with await aiobpf.pins.open_any(bpffs / "link") as found:
            assert isinstance(found, Program)
        async with Program.load(TRACED) as other:
            other.pin(bpffs / "a" / "program")
            with pytest.raises(SpecError, match=f"a/program is no longer program {program.id}"):
                await pins[0].open()


async def test_a_walk_looks_at_nothing_but_a_bpffs(bpffs: Path, tmp_path: Path) -> None:
    """A named pipe would block who opens it; links lead anywhere; another mount is another file system."""
    (bpffs / "inner").mkdir()
    os.symlink("/", bpffs / "root")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.mkfifo(elsewhere / "pipe")
    subprocess.run(["mount", "--bind", str(elsewhere), str(bpffs / "inner")], check=True)
    try:
        assert await walked(bpffs) == []
        assert await aiobpf.pins.look_at(elsewhere / "pipe") is None
        with pytest.raises(SpecError, match="is no pinned map, program or link"):
            await aiobpf.pins.open_any(elsewhere / "pipe")
    finally:
        subprocess.run(["umount", str(bpffs / "inner")], check=True)
    for place, error in ((elsewhere, SpecError), (tmp_path / "nowhere", FileNotFoundError)):
        with pytest.raises(error):
            await anext(aiobpf.pins.walk(place))


async def test_what_vanishes_during_a_walk_is_left_out(bpffs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiobpf.kernel import pins

    async with Map.create(TABLE) as table:
        for name in ("one", "two"):
            kernel.pin(table, bpffs / name)
        real = pins.open_pin

        def vanishing(path: str) -> kernel.OwnedFd:
            if path.endswith("one"):
                os.unlink(path)
            return real(path)

        monkeypatch.setattr(pins, "open_pin", vanishing)
        assert [os.path.basename(pin.path) for pin in await walked(bpffs)] == ["two"]


async def test_a_name_that_is_anothers_by_now_is_left_to_it(bpffs: Path) -> None:
    async with Map.create(TABLE) as table, Map.create(TABLE) as other:
        table.pin(bpffs / "table")
        (bpffs / "table").unlink()
        other.pin(bpffs / "table")
        table.unpin()
        pin = await aiobpf.pins.look_at(bpffs / "table")
        assert pin is not None
        assert pin.id == other.id
        other.unpin()
        assert not (bpffs / "table").exists()
    async with Program.load(TRACED) as program:
        program.pin(bpffs / "program")
        (bpffs / "program").unlink()
        program.unpin()


async def test_a_name_is_taken_away_after_the_object_was_closed(bpffs: Path) -> None:
    async with Map.create(TABLE) as table, Program.load(TRACED) as program:
        table.pin(bpffs / "table")
        program.pin(bpffs / "program")
        found = Map.from_pin(bpffs / "table")
        await found.aclose()
    program.unpin()
    assert [os.path.basename(pin.path) for pin in await walked(bpffs)] == ["table"]
    found.unpin()
    table.unpin()
    assert await walked(bpffs) == []


async def test_a_pin_of_another_kind_is_refused_by_what_it_is(bpffs: Path) -> None:
    async with Map.create(TABLE) as table:
        table.pin(bpffs / "table")
        with pytest.raises(KernelError, match="It is a bpf-map, not a bpf-prog"):
            Program.from_pin(bpffs / "table")
        with pytest.raises(SpecError, match="is no link but a map"):
            await Link.from_pin(bpffs / "table")


async def test_a_pin_outside_a_bpffs_makes_no_directories(tmp_path: Path) -> None:
    async with Map.create(TABLE) as table:
        with pytest.raises(KernelError, match="mount -t bpf"):
            table.pin(tmp_path / "a" / "table")
        assert not (tmp_path / "a").exists()
