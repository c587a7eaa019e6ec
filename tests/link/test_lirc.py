"""Infrared receivers: a kernel that knows them takes their programs, and any other says that it does not."""

from __future__ import annotations

import subprocess
from pathlib import Path
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


@pytest.mark.requires("infrared")
async def test_what_is_sent_is_seen_until_it_is_closed(counters: Counters) -> None:
    """rc-loopback receives what it sends."""
    subprocess.run(["modprobe", "rc-loopback"], check=True)
    device = next(
        f"/dev/{path.name}"
        for path in Path("/sys/class/lirc").iterdir()
        if "rc-loopback" in (path / "device/uevent").read_text()
    )
    seen = counters(ProgramType.LIRC_MODE2, AttachType.LIRC_MODE2)

    def send() -> None:
        with open(device, "wb", buffering=0) as transmitter:
            transmitter.write(b"".join(us.to_bytes(4, "little") for us in (900, 450, 900)))

    async with seen.program.attach(Lirc(device)):
        send()
        counted = seen.count
        assert counted >= 3
    send()
    assert seen.count == counted


async def test_it_takes_no_other_program(counters: Counters) -> None:
    with pytest.raises(SpecError, match="takes LIRC_MODE2 programs"):
        await counters(ProgramType.RAW_TRACEPOINT).program.attach(Lirc("/dev/lirc0"))
