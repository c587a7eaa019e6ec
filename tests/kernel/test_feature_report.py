"""The whole report beside what other loaders' probes say of the same kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

import aiobpf
from aiobpf.asm import Helper
from aiobpf.kernel import Feature, Inconclusive, Supported, kernel_release
from aiobpf.uapi import MapType, ProgramType
from tests.libbpf.oracles import NoLibbpfError, newest

pytestmark = pytest.mark.root

HERE = Path(__file__).parent
LIBBPF_KNOWS_PROGRAMS, LIBBPF_KNOWS_MAPS = ProgramType.NETFILTER, MapType.ARENA  # 1.7
BPFTOOL_KNOWS_HELPERS = Helper.USER_RINGBUF_DRAIN  # 7.1
ASKED_OTHERWISE = frozenset({ProgramType.TRACING, ProgramType.LSM, ProgramType.EXT, ProgramType.STRUCT_OPS})
"""libbpf asks for trampolines, and for no helpers of these."""


@pytest.mark.slow  # under emulation: libbpf's probes take ten minutes there
def test_the_report_is_what_libbpf_finds_out(tmp_path: Path) -> None:
    try:
        libbpf = newest()
    except NoLibbpfError as error:
        pytest.skip(str(error))
    tool = tmp_path / "probe"
    libbpf.compile(HERE / "libbpf_features.c", tool)
    numbers = (str(int(number)) for number in (LIBBPF_KNOWS_PROGRAMS, LIBBPF_KNOWS_MAPS, max(Helper)))
    told = subprocess.run([tool, *numbers], capture_output=True, text=True, check=True).stdout
    report = anyio.run(aiobpf.features.report)
    differences = []
    compared = 0
    for line in told.splitlines():
        what, *fields = line.split()
        number, helper, theirs = map(int, fields)
        kind = ProgramType(number) if what != "map" else None
        if kind in ASKED_OTHERWISE or (what == "helper" and not report.program_types[ProgramType(number)]):
            continue
        answer = (
            report.map_types[MapType(number)]
            if kind is None
            else report.program_types[kind]
            if what == "program"
            else report.helpers[kind][Helper(helper)]
        )
        if kind is None and number == MapType.STRUCT_OPS and kernel_release() < (6, 4):
            continue  # libbpf 1.7 denies that 5.10 has them, where those of others work
        compared += 1
        if isinstance(answer, Supported) != (theirs == 1):
            differences.append((line, answer))
    assert not differences
    assert compared > 5000


@pytest.mark.skipif(shutil.which("bpftool") is None, reason="needs bpftool")
def test_the_report_is_what_bpftool_finds_out() -> None:
    ran = subprocess.run(
        ["bpftool", "-j", "feature", "probe", "kernel", "full"], capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    report = anyio.run(aiobpf.features.report)
    for kind, answer in report.program_types.items():
        theirs = told["program_types"].get(f"have_{kind.name.lower()}_prog_type")
        if theirs is not None and kind not in ASKED_OTHERWISE:
            assert isinstance(answer, Supported) == theirs, kind
    for map_type, answer in report.map_types.items():
        theirs = told["map_types"].get(f"have_{map_type.name.lower()}_map_type")
        if theirs is not None:
            assert isinstance(answer, Supported) == theirs, map_type
    ours = {
        "have_large_insn_limit": Feature.LARGE_PROGRAMS,
        "have_bounded_loops": Feature.BOUNDED_LOOPS,
        "have_v2_isa_extension": Feature.ISA_V2,
        "have_v3_isa_extension": Feature.ISA_V3,
    }
    for name, theirs in told["misc"].items():
        if name in ours:
            assert isinstance(report.features[ours[name]], Supported) == theirs
    if kernel_release() >= (6, 12):
        return  # bpftool 7.1 does not understand what the verifier says there, and takes every helper for allowed
    for kind in report.helpers:
        theirs = told["helpers"].get(f"{kind.name.lower()}_available_helpers")
        if theirs and kind not in ASKED_OTHERWISE:
            ours_of_kind = {helper for helper in report.helpers_of(kind) if helper <= BPFTOOL_KNOWS_HELPERS}
            assert {f"bpf_{helper.name.lower()}" for helper in ours_of_kind} == set(theirs), kind


@pytest.mark.everywhere
async def test_a_report_has_an_answer_to_every_question() -> None:
    report = await aiobpf.features.report()
    assert report.is_complete
    assert report.helpers.keys() == report.program_types.keys() == set(ProgramType) - {ProgramType.UNSPEC}
    assert Helper.MAP_LOOKUP_ELEM in report.helpers_of(ProgramType.XDP)
    assert Helper.SEQ_WRITE not in report.helpers_of(ProgramType.XDP)
    assert report.helpers_of(ProgramType.EXT) == ()
    assert isinstance(report.helpers[ProgramType.EXT][Helper.LOOP], Inconclusive)
    assert report.settings["net.core.bpf_jit_enable"] in {0, 1, 2}
