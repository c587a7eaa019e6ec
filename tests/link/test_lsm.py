"""Security hooks: what is refused while the program is there, and allowed after."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.link import Lsm, LsmCgroup
from aiobpf.link.lsm import require_active
from aiobpf.runtime import Program
from tests.kernel_features import kernel_has

from .test_tracing import OBJECT, this_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiobpf.runtime import Variable

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@contextlib.contextmanager
def switched_on(switch: Variable) -> Iterator[None]:
    switch.value = 1
    try:
        yield
    finally:
        switch.value = 0


@pytest.mark.requires("BPF LSM")
@pytest.mark.shows("lsm")
async def test_an_open_is_refused_until_the_link_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    async with aiobpf.load(OBJECT, programs=["deny_open"]) as coll:
        seen = coll.variables
        seen["thread"].value = this_thread()
        async with coll.programs["deny_open"].attach(Lsm("file_open")):
            with switched_on(seen["is_denied"]), pytest.raises(PermissionError):
                os.open(file, os.O_RDONLY)
            assert seen["count"].value >= 1
            os.close(os.open(file, os.O_RDONLY))
        with switched_on(seen["is_denied"]):
            os.close(os.open(file, os.O_RDONLY))


@pytest.mark.requires("BPF LSM")
@pytest.mark.shows("lsm_sleepable")
async def test_a_sleepable_hook_sees_a_programs_start() -> None:
    async with aiobpf.load(OBJECT, programs=["see_exec"]) as coll:
        seen = coll.variables["count"]
        async with coll.attach():
            subprocess.run(["/bin/true"], check=True)
            assert seen.value >= 1
        after = seen.value
        subprocess.run(["/bin/true"], check=True)
        assert seen.value == after


@pytest.mark.requires("BPF LSM", "sleepable file_open")
@pytest.mark.shows("lsm_copy_from_user")
async def test_a_sleepable_hook_reads_user_memory(tmp_path: Path) -> None:
    memory = ctypes.create_string_buffer(b"/a/path", 16)
    async with aiobpf.load(OBJECT, programs=["copy_in_open"]) as coll:
        seen = coll.variables
        seen["thread"].value = this_thread()
        seen["user"].value = ctypes.addressof(memory)
        async with coll.attach():
            with switched_on(seen["is_denied"]):
                os.close(os.open(tmp_path, os.O_RDONLY))
            assert seen["text"].value == "/a/path"
        after = seen["count"].value
        with switched_on(seen["is_denied"]):
            os.close(os.open(tmp_path, os.O_RDONLY))
        assert seen["count"].value == after


@pytest.mark.requires("BPF LSM", "lsm_cgroup")
@pytest.mark.shows("lsm_cgroup")
async def test_a_bind_is_refused_to_a_cgroup_until_the_link_is_closed(cgroup: Path, bpffs: Path) -> None:
    def bind() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))

    async with aiobpf.load(OBJECT, programs=["deny_bind"]) as coll:
        seen = coll.variables
        async with coll.programs["deny_bind"].attach(LsmCgroup(cgroup)) as link:
            bind()
            assert seen["count"].value == 1
            with switched_on(seen["is_denied"]), pytest.raises(PermissionError):
                bind()
            link.pin(bpffs / "link")
            link.unpin()
        with switched_on(seen["is_denied"]):
            bind()
        assert seen["count"].value == 2
        with pytest.raises(KernelError, match="ENOENT"):
            await coll.programs["deny_bind"].attach(LsmCgroup(cgroup / "no-such"))


@pytest.mark.parametrize(
    ("program", "feature", "since"),
    [("deny_open", "trampolines", None), ("see_exec", "trampolines", None), ("deny_bind", "lsm_cgroup", "6.0")],
)
async def test_a_hook_loads_or_what_the_kernel_lacks_is_said(program: str, feature: str, since: str | None) -> None:
    spec = aiobpf.read_spec(OBJECT).programs[program]
    if kernel_has(feature):
        async with Program.load(spec):
            return
    with pytest.raises(NotSupportedError, match=r"refuses trampolines|attach type") as caught:
        await Program.load(spec)
    assert caught.value.since in {since, None}
    assert "CAP_" not in str(caught.value)


def test_a_kernel_that_asks_no_bpf_program_is_said_to(tmp_path: Path) -> None:
    active = tmp_path / "lsm"
    require_active("program 'p'", active)
    active.write_text("lockdown,capability,bpf\n")
    require_active("program 'p'", active)
    active.write_text("lockdown,capability,landlock\n")
    with pytest.raises(NotSupportedError, match=r"program 'p': the BPF security module is not active .*lsm="):
        require_active("program 'p'", active)
