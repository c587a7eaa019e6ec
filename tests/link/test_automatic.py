"""Objects attach by their sections, through the public face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import SpecError
from aiobpf.link import Link, RawTracepoint, TpBtf, Tracepoint, kind_of
from aiobpf.uapi import LinkType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from aiobpf.runtime.attach import Opening

pytestmark = pytest.mark.root

OBJECTS = Path(__file__).parents[1] / "objects"


@pytest.mark.everywhere
@pytest.mark.parametrize(
    ("section", "kind", "link_type"),
    [
        (
            "tracepoint/syscalls/sys_enter_getpid",
            Tracepoint("syscalls", "sys_enter_getpid"),
            LinkType.PERF_EVENT,
        ),
        ("raw_tp/sched_switch", RawTracepoint("sched_switch"), LinkType.RAW_TRACEPOINT),
        ("tp_btf/sched_process_exec", TpBtf("sched_process_exec"), LinkType.RAW_TRACEPOINT),
    ],
)
async def test_a_program_attaches_where_its_section_says(section: str, kind: object, link_type: LinkType) -> None:
    spec = aiobpf.read_spec(OBJECTS / "sections.bpf.o")
    (name,) = (name for name, program in spec.programs.items() if program.section == section)
    assert kind_of(spec.programs[name]) == kind
    async with aiobpf.load(spec, programs=[name]) as coll:
        opening: Opening[Link] = coll.programs[name].attach()
        async with opening as link:
            assert link.kind == kind
            if link_type != LinkType.PERF_EVENT or kernel_has("perf links"):
                assert (await link.info()).type == link_type
        async with coll.attach() as attached:
            assert list(attached.links) == [name]


@pytest.mark.everywhere
async def test_a_program_whose_section_says_nothing_asks_for_a_kind() -> None:
    spec = aiobpf.read_spec(OBJECTS / "sections.bpf.o")
    (name,) = (name for name, program in spec.programs.items() if program.section == "xdp")
    async with aiobpf.load(spec, programs=[name]) as coll:
        with pytest.raises(SpecError, match="says no place to attach to"):
            await coll.programs[name].attach()
