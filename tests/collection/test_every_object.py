"""Every object that is here, on the kernel at hand: it loads, or the error says what is missing.

NEEDS is all that may keep one from loading on a kernel from 5.10 on, program by program. Objects that are not in it are
loaded too: by their default programs, or to an error of aiobpf's own.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import BpfError, NotSupportedError, SpecError, UnresolvedSymbolError, VerifierError
from tests.kernel_features import FEATURES, kernel_has

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiobpf.spec import CollectionSpec

REPOSITORY = Path(__file__).parents[2]
FOLDERS = ("aiobpf/programs", "examples", "tests/objects")
OBJECTS = sorted(
    path for folder in FOLDERS for path in (REPOSITORY / folder).glob("*.bpf.o") if not path.name.endswith(".eb.bpf.o")
)

pytestmark = [pytest.mark.root, pytest.mark.asyncio]

ALL = "*"
NEEDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "arena": {ALL: ("arenas",)},
    "arena_strict": {ALL: ("arenas",)},
    "externs": {"symbols": ("kernel variables",), "functions": ("syscall programs", "task kfuncs")},
    "kernel_values": {"set_alarm": ("callbacks", "timers")},
    "local_scope": {ALL: ("arenas",)},
    "map_kinds": {ALL: ("bloom filters",)},
    "perf_events": {"sample": ("atomics",)},
    "sched_ext": {ALL: ("sched_ext",)},
    "sections": {"on_write": ("trampolines",), "on_written": ("trampolines",)},
    "struct_ops": {ALL: ("struct_ops links",)},
    "subprograms": {"loops": ("callbacks", "loops")},
}
"""By object and program, the features that it needs, the oldest first."""

LOADS_ANYWHERE = {
    "context_argument",
    "core",
    "exec_monitor",
    "globals",
    "legacy_maps",
    "metadata",
    "newer_types",
    "no_btf",
    "perf_sampler",
    "ring_events",
    "xdp_peer_counters",
}
"""Needs nothing that 5.10 has not, or nothing that a load cannot replace."""

REFUSED: Mapping[str, Mapping[str, type[BpfError]]] = {
    "legacy_extra": {ALL: SpecError},
    "rejected": {"unchecked": VerifierError},
    "sections": {"untyped": SpecError},
}
"""Programs that are there to be refused."""

TOGETHER = {"map_kinds", "sched_ext", "struct_ops"}
"""Objects whose programs stand in maps: one alone is no whole."""


def name_of(path: Path) -> str:
    return path.name.removesuffix(".bpf.o")


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


KNOWN = [path for path in OBJECTS if name_of(path) in {*LOADS_ANYWHERE, *NEEDS, *REFUSED}]


@pytest.mark.parametrize("path", [path for path in OBJECTS if path not in KNOWN], ids=name_of)
async def test_any_other_object_loads_or_is_refused_by_an_error_of_ours(path: Path, bpffs: Path) -> None:
    with contextlib.suppress(BpfError):
        async with aiobpf.load(path, pin_path=bpffs) as coll:
            assert not coll.is_closed


@pytest.mark.parametrize("path", KNOWN, ids=name_of)
async def test_each_program_of_an_object_loads_or_says_what_the_kernel_lacks(path: Path, bpffs: Path) -> None:
    spec = aiobpf.read_spec(path)
    name = name_of(path)
    programs = list(spec.programs)
    for number, chosen in enumerate([programs] if name in TOGETHER else [[program] for program in programs]):
        pins = bpffs / str(number)
        pins.mkdir()
        await load_or_explain(spec, name, chosen, pins)


async def load_or_explain(spec: CollectionSpec, name: str, chosen: list[str], pins: Path) -> None:
    needs = NEEDS.get(name, {})
    missing = [
        feature
        for program in chosen
        for feature in (*needs.get(ALL, ()), *needs.get(program, ()))
        if not kernel_has(feature)
    ]
    refused = REFUSED.get(name, {})
    refusal = refused.get(ALL) or refused.get(chosen[0])
    if not missing and refusal is None:
        async with aiobpf.load(spec, programs=chosen, pin_path=pins) as coll:
            assert set(coll.programs) == set(chosen)
        return
    # A variable that kallsyms lists not, though BTF has it, is the verifier's to miss.
    unread = (VerifierError,) if "kernel variables" in missing else ()
    with pytest.raises(refusal or (NotSupportedError, UnresolvedSymbolError, *unread)) as caught:
        await aiobpf.Collection.load(spec, programs=chosen, pin_path=pins)
    if isinstance(caught.value, NotSupportedError) and caught.value.since is not None:
        assert caught.value.since in {".".join(map(str, FEATURES[feature].since)) for feature in missing}
