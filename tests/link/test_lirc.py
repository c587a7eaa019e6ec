"""Infrared receivers: a kernel without them says so. Debian builds none that knows them (RC_CORE is a module)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf import asm
from aiobpf.asm import R0, Instructions
from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.link import Lirc
from aiobpf.runtime import Program
from aiobpf.spec import ProgramSpec
from aiobpf.uapi import AttachType, ProgramType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Counters

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


async def test_a_kernel_without_infrared_receivers_says_so_when_the_program_is_loaded(tmp_path: Path) -> None:
    spec = ProgramSpec(
        name="decode",
        type=ProgramType.LIRC_MODE2,
        attach_type=AttachType.LIRC_MODE2,
        license="GPL",
        instructions=Instructions([asm.mov(R0, 0), asm.exit_()]),
    )
    if not kernel_has("infrared"):
        with pytest.raises(NotSupportedError, match=r"program type LIRC_MODE2 .* needs Linux 4\.18") as caught:
            await Program.load(spec)
        assert "built without it" in str(caught.value)
        return
    async with Program.load(spec) as program:
        with pytest.raises(SpecError, match="is no infrared receiver"):
            await program.attach(Lirc("/dev/null"))
        with pytest.raises(KernelError, match="ENOENT"):
            await program.attach(Lirc(tmp_path / "lirc0"))


async def test_it_takes_no_other_program(counters: Counters) -> None:
    with pytest.raises(SpecError, match="takes LIRC_MODE2 programs"):
        await counters(ProgramType.RAW_TRACEPOINT).program.attach(Lirc("/dev/lirc0"))
