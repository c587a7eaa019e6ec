"""The smallest BTF that each object needs: what bpftool makes of it, and as good as the whole for CO-RE."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import (
    CORE_RELOCATION,
    Btf,
    CoreRelocationKind,
    CoreRelocator,
    Struct,
    Union,
    minimal_btf,
    relocate_instructions,
)
from aiobpf.elf import read_spec
from aiobpf.spec import core_relocations
from tests.kernel_btfs import RUNNING, kernel_btfs, name_of, read_btf

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.spec import CollectionSpec
    from tests.foreign_objects import ForeignObject


def relocated(spec: CollectionSpec, kernel: Btf) -> dict[str, bytes]:
    """Every program of *spec*, its instructions made for *kernel*.

    But for those that ask for the id of a kernel's type: another BTF has other ids, bpftool's too.
    """
    relocator = CoreRelocator([kernel], byte_order=spec.byte_order)
    found = {}
    for name, program in spec.programs.items():
        kinds = {each.kind for _, each in program.instructions.with_key(CORE_RELOCATION)}
        if CoreRelocationKind.TYPE_ID_TARGET in kinds:
            continue
        instructions = program.instructions.copy()
        relocate_instructions(instructions, relocator)
        found[name] = instructions.encode()
    return found


@pytest.fixture(scope="module", params=kernel_btfs(), ids=name_of)
def kernel(request: pytest.FixtureRequest) -> Btf:
    return read_btf(request.param)


def test_core_against_the_smallest_btf_gives_the_same_instructions(foreign: ForeignObject, kernel: Btf) -> None:
    spec = read_spec(foreign.content)
    small = minimal_btf([core_relocations(spec)], kernel)
    assert len(small.types) < 60
    assert relocated(spec, small) == relocated(spec, kernel)


@pytest.mark.skipif(shutil.which("bpftool") is None, reason="no bpftool")
def test_it_has_the_types_and_members_that_bpftool_keeps(
    foreign: ForeignObject, foreign_path: Path, tmp_path: Path
) -> None:
    relocations = core_relocations(read_spec(foreign.content))
    ours = minimal_btf([relocations], Btf.from_file(RUNNING))
    if not relocations:
        assert len(ours.types) == 1
        return
    target = tmp_path / "min.btf"
    subprocess.run(["bpftool", "gen", "min_core_btf", RUNNING, target, foreign_path], check=True)
    assert contents(ours) == contents(Btf.from_file(target))
    assert len(ours.raw) == target.stat().st_size


def contents(btf: Btf) -> list[tuple[object, ...]]:
    return sorted(
        (
            each.kind.name,
            each.name,
            getattr(each, "size", 0),
            tuple((member.name, member.bit_offset) for member in each.members)
            if isinstance(each, Struct | Union)
            else (),
        )
        for each in btf.types
    )
