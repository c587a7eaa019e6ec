"""A scheduler in BPF (sched_ext, 6.12): a struct of functions, numbers and text, on a kernel that schedules by it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

import aiobpf
from aiobpf.errors import SpecError

OBJECT = Path(__file__).parent.parent / "objects" / "sched_ext.bpf.o"
STATE = Path("/sys/kernel/sched_ext")

pytestmark = [pytest.mark.root, pytest.mark.everywhere, pytest.mark.requires("sched_ext")]


@pytest.mark.shows("sched_ext")
async def test_the_kernel_schedules_by_the_programs_until_they_are_detached() -> None:
    spec = aiobpf.read_spec(OBJECT)
    members = spec.maps["scheduler"].members
    assert members is not None
    members["timeout_ms"] = 20_000
    async with aiobpf.load(spec) as coll:
        async with coll.attach() as attached:
            assert list(attached.links) == ["scheduler"]
            assert (STATE / "state").read_text().strip() == "enabled"
            assert (STATE / "root" / "ops").read_text().startswith("aiobpf_counting")
            with anyio.fail_after(20):
                while coll.variables["runs"].value < 10:  # noqa: ASYNC110 - a scheduler sets no event
                    await anyio.sleep(0.01)
            data = coll.maps["scheduler"][0].data
            assert (data.name, data.timeout_ms) == ("aiobpf_counting", 20_000)
        assert (STATE / "state").read_text().strip() == "disabled"
        assert (coll.variables["inits"].value, coll.variables["exits"].value) == (1, 1)


async def test_a_number_that_does_not_fit_the_kernels_member_is_named() -> None:
    spec = aiobpf.read_spec(OBJECT)
    members = spec.maps["scheduler"].members
    assert members is not None
    members["timeout_ms"] = 1 << 32
    with pytest.raises(SpecError, match=r"member 'timeout_ms' of struct_ops map 'scheduler' .*4294967296 does not fit"):
        await aiobpf.load(spec)
