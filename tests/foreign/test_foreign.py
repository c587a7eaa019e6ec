"""Objects that no one here wrote: each opens, and where libbpf loads one here, aiobpf loads the same.

libbpf is asked in the same process, through ctypes. What it loaded is read back from the kernel and compared: the maps,
and the programs instruction by instruction, so that CO-RE, constants and dead code came out alike.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.elf import read_spec
from aiobpf.errors import BpfError
from aiobpf.kernel import map_by_id, map_info, program_info
from aiobpf.uapi import MapFlags
from tests.foreign_objects import PACKAGES, foreign_objects

from .libbpf import LibbpfError, library, opened

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.kernel.fd import FdLike
    from aiobpf.kernel.info import ProgramInfo
    from aiobpf.spec import CollectionSpec
    from tests.foreign_objects import ForeignObject

PREFIX = "o"  # what libbpf puts before the names of section maps
LD_IMM64 = 0x18
PSEUDO_MAP_FD, PSEUDO_MAP_VALUE = 1, 2
TRAMPOLINES = ("fentry", "fexit", "fmod_ret", "lsm", "freplace")

BEFORE_BTF = frozenset({"qemu-system-x86_64"})
"""Whose maps are of the kind that libbpf dropped in 1.0: it refuses them, and they load here."""

needs_libbpf = pytest.mark.skipif(library() is None, reason="no libbpf.so.1 (Debian: libbpf1)")


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg")
def test_the_packages_bring_their_objects() -> None:
    names = {foreign.name for foreign in foreign_objects()}
    if not names:
        pytest.skip(f"{', '.join(PACKAGES)} are not installed")
    tools = {"execsnoop", "opensnoop", "tcplife", "runqlat", "biolatency", "filetop", "klockstat"}
    assert tools <= names or not names & tools
    assert len(names) >= 15


def test_it_opens(foreign: ForeignObject) -> None:
    spec = read_spec(foreign.content)
    assert spec.programs


@needs_libbpf
def test_programs_and_maps_are_those_that_libbpf_finds(
    foreign: ForeignObject, foreign_path: Path, tmp_path: Path
) -> None:
    spec = read_spec(foreign.content)
    if foreign.name in BEFORE_BTF:
        with pytest.raises(LibbpfError, match="Operation not supported"), opened(foreign_path, PREFIX, tmp_path):
            pass
        return
    with opened(foreign_path, PREFIX, tmp_path) as theirs:
        assert {program.name: program.autoload for program in spec.programs.values()} == theirs.programs()
        assert list(spec.programs) == list(theirs.programs())
        assert sorted(spec.maps) == sorted(name.removeprefix(PREFIX) if "." in name else name for name in theirs.maps())


@needs_libbpf
@pytest.mark.root
@pytest.mark.asyncio
async def test_it_loads_where_libbpf_loads_it_to_the_same_instructions(
    foreign: ForeignObject, foreign_path: Path, bpffs: Path
) -> None:
    spec = read_spec(foreign.content)
    if foreign.name in BEFORE_BTF:
        async with aiobpf.load(foreign_path) as ours:
            assert ours.programs.keys() == {name for name, program in spec.programs.items() if program.autoload}
            assert ours.maps.keys() == spec.maps.keys()
        return
    if not (
        await is_same(foreign_path, set(spec.programs), bpffs)
        or await is_same(foreign_path, without_trampolines(spec), bpffs)
    ):
        # This kernel is too old for the whole: libbpf loads no part of it (objects of one program), or some programs.
        for name in spec.programs:
            await is_same(foreign_path, {name}, bpffs)


async def is_same(path: Path, chosen: set[str], bpffs: Path) -> bool:
    """Whether libbpf loads the *chosen* programs of the object; if so, aiobpf does too, to the same.

    If not, aiobpf may load them or say why not, by an error of its own.
    """
    number = len(list(bpffs.iterdir()))
    with opened(path, PREFIX, bpffs / f"theirs-{number}") as theirs:
        (bpffs / f"ours-{number}").mkdir()
        try:
            theirs.load(chosen.__contains__)
        except LibbpfError:
            with contextlib.suppress(BpfError):
                async with aiobpf.load(path, pin_path=bpffs / f"ours-{number}", programs=chosen):
                    pass
            return False
        fds = theirs.program_fds()
        assert fds.keys() == chosen
        async with aiobpf.load(path, pin_path=bpffs / f"ours-{number}", programs=chosen) as ours:
            assert set(ours.programs) == chosen
            for name, program in ours.programs.items():
                assert_same_program(program, fds[name])
    return True


def without_trampolines(spec: CollectionSpec) -> set[str]:
    """The programs of a tool that brings two of each: by trampoline, and for kernels that have none."""
    return {name for name, program in spec.programs.items() if not program.section.startswith(TRAMPOLINES)}


def assert_same_program(ours: FdLike, theirs: FdLike) -> None:
    mine, other = program_info(ours, instructions=True), program_info(theirs, instructions=True)
    assert (mine.name, mine.type, mine.is_gpl_compatible) == (other.name, other.type, other.is_gpl_compatible)
    assert mine.attach_btf_id == other.attach_btf_id
    assert bool(mine.func_info) == bool(other.func_info)
    assert len(mine.line_info) == len(other.line_info)
    my_code, my_maps = comparable(mine)
    other_code, other_maps = comparable(other)
    assert my_code == other_code
    assert [shape_of(number) for number in my_maps] == [shape_of(number) for number in other_maps]


def comparable(info: ProgramInfo) -> tuple[list[bytes], list[int]]:
    """The program's wire slots with each map's id replaced by its turn, and the ids in that order."""
    slots = [info.xlated[at : at + 8] for at in range(0, len(info.xlated), 8)]
    assert slots
    ids: list[int] = []
    for at, slot in enumerate(slots):
        if slot[0] == LD_IMM64 and slot[1] >> 4 in {PSEUDO_MAP_FD, PSEUDO_MAP_VALUE}:
            (number,) = struct.unpack_from("=I", slot, 4)
            if number not in ids:
                ids.append(number)
            slots[at] = slot[:4] + struct.pack("=I", ids.index(number))
    return slots, ids


def shape_of(map_id: int) -> tuple[int, ...]:
    with map_by_id(map_id) as fd:
        info = map_info(fd)
    flags = info.flags & ~MapFlags.MMAPABLE  # libbpf maps a section only if it has a variable that is not static
    return (info.type, info.key_size, info.value_size, info.max_entries, flags)
