"""Who owns what a load made: the collection, who took it out of it, nobody."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import aiobpf
from aiobpf import kernel
from aiobpf.asm import R0, mov
from aiobpf.collection.collection import _dispose
from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.errors import KernelError, SpecError
from aiobpf.kernel.ids import program_by_id
from aiobpf.kernel.info import map_info, program_info
from tests.conftest import open_fds

from .objects import map_kinds, subprograms

if TYPE_CHECKING:
    from collections.abc import Iterator

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


async def test_a_load_that_nobody_waits_for_any_more_takes_its_pins_back(bpffs: Path) -> None:
    kept = load_collection(map_kinds(), LoadPlan(pin_path=bpffs))
    assert (bpffs / "pinned").exists()
    _dispose(kept)
    assert not (bpffs / "pinned").exists()


async def test_undoing_takes_back_only_pins_that_are_new_and_raises_nothing(bpffs: Path) -> None:
    first = load_collection(map_kinds(), LoadPlan(pin_path=bpffs))
    second = load_collection(map_kinds(), LoadPlan(pin_path=bpffs))
    second.undo()
    assert (bpffs / "pinned").exists()
    (bpffs / "pinned").unlink()
    first.undo()


@pytest.mark.requires("loops")
async def test_names_in_the_spec_are_what_counts() -> None:
    spec = subprograms()
    spec.maps["table"].name = "another"
    spec.programs["first"].name = "renamed_by_hand_and_long"
    async with aiobpf.load(spec) as coll:
        assert map_info(coll.maps["table"]).name == "another"
        assert program_info(coll.programs["first"]).name == "renamed_by_hand"
        await coll.programs["loops"].run(PACKET)


async def test_a_spec_that_lost_a_section_is_refused() -> None:
    spec = aiobpf.read_spec(OBJECTS / "globals.bpf.o")
    del spec.maps[".bss"]
    for program in spec.programs.values():
        program.autoload = False
    with pytest.raises(SpecError, match=r"lies in \.bss, of which the spec has no map"):
        await aiobpf.Collection.load(spec)


async def test_one_name_is_no_list_of_programs() -> None:
    with pytest.raises(SpecError, match=r"programs=\['first'\]"):
        await aiobpf.Collection.load(subprograms(), programs="first")


@pytest.mark.requires("loops")
async def test_programs_taken_out_stay_when_the_collection_closes() -> None:
    coll = await aiobpf.Collection.load(subprograms())
    first = coll.detach(coll.programs["first"])
    loops = program_info(coll.programs["loops"]).id
    await coll.aclose()
    assert (await first.run(PACKET)).retval
    with anyio.fail_after(5):  # the kernel frees a program after a grace period
        while True:
            try:
                program_by_id(loops).close()
            except FileNotFoundError:
                break
            await anyio.sleep(0.01)
    await first.aclose()


async def test_closing_while_a_scope_is_cancelled_closes_all() -> None:
    before = open_fds()
    coll: aiobpf.Collection | None = None
    with anyio.CancelScope() as scope:
        coll = await aiobpf.Collection.load(OBJECTS / "globals.bpf.o")
        assert coll.variables["custom"].value == -5
        scope.cancel()
        await coll.aclose()
    assert coll is not None
    assert coll.is_closed
    kinds = {what for what in open_fds().values() if "bpf" in what}
    assert kinds <= set(before.values())


async def test_two_may_close_at_once() -> None:
    coll = await aiobpf.Collection.load(OBJECTS / "globals.bpf.o")
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(coll.aclose)
    assert all(m.is_closed for m in coll.maps.values())


async def test_a_detach_that_fails_does_not_hide_why_attaching_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiobpf.link import Link

    spec = aiobpf.read_spec(OBJECTS / "core.bpf.o")
    spec.programs["guarded"].attach_to = ""
    async with aiobpf.load(spec) as coll:
        attached = coll.programs["ask"]
        close = Link.aclose

        async def refuse(link: Link) -> None:
            await close(link)
            raise KernelError(5, "close", "the link")

        monkeypatch.setattr(Link, "aclose", refuse)

        class Nowhere:
            async def attach_program(self, program: aiobpf.Program) -> Link:
                raise SpecError(f"nowhere for {program.name}")

        coll.programs["guarded"].default_kind = Nowhere()
        assert attached.default_kind is not None
        with pytest.raises(SpecError, match="nowhere for guarded") as caught:
            await coll.attach("ask", "guarded")
        assert any("could not be detached" in note for note in caught.value.__notes__)


async def test_a_failed_load_tells_its_own_error_though_the_pin_cannot_go(
    bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = map_kinds()
    spec.programs["use"].instructions.replace_operation(0, mov(R0, aiobpf.asm.R9))
    with monkeypatch.context() as patch:
        unlink = os.unlink

        def refuse(path: str) -> None:
            if "pinned" in os.fspath(path):
                raise PermissionError(1, "no", path)
            unlink(path)

        patch.setattr(os, "unlink", refuse)
        with pytest.raises(aiobpf.VerifierError, match="'use'"):
            await aiobpf.Collection.load(spec, pin_path=bpffs)
    kernel.open_pin(bpffs / "pinned").close()
