"""The life of a Link: closed, detached, pinned, leaked, forgotten, cancelled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

import aiobpf.kernel.fd
from aiobpf.errors import ClosedError, KernelError, NotSupportedError, SpecError
from aiobpf.link import Cgroup, Link, PerfEvent, RawTracepoint, Tracepoint
from aiobpf.link.attachment import Attachment, building
from aiobpf.uapi import AttachType, LinkType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.kernel import OwnedFd

    from .conftest import Counted, Counters

pytestmark = pytest.mark.root


def raw_counter(counters: Counters) -> Counted:
    return counters(ProgramType.RAW_TRACEPOINT, only_pid=os.getpid())


@pytest.mark.everywhere
async def test_closing_twice_is_closing_once_and_use_after_it_is_named(counters: Counters, bpffs: Path) -> None:
    seen = raw_counter(counters)
    link = await seen.program.attach(RawTracepoint("sys_enter"))
    await link.aclose()
    await link.aclose()
    assert link.is_closed
    for use in (link.fileno, lambda: link.pin(bpffs / "x"), link.unpin, link.leak):
        with pytest.raises(ClosedError, match="Link closed of program 'counting' on RawTracepoint"):
            use()
    for awaited in (link.update(seen.program), link.detach(), link.info()):
        with pytest.raises(ClosedError):
            await awaited


@pytest.mark.everywhere
async def test_two_tasks_may_close_at_once(counters: Counters) -> None:
    link = await raw_counter(counters).program.attach(RawTracepoint("sys_enter"))
    async with anyio.create_task_group() as group:
        group.start_soon(link.aclose)
        group.start_soon(link.aclose)


@pytest.mark.everywhere
async def test_the_program_may_be_closed_before_its_link(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    seen = raw_counter(counters)
    async with seen.program.attach(RawTracepoint("sys_enter")):
        await seen.program.aclose()
        calls_getpgid(5)
        assert seen.count >= 5


@pytest.mark.everywhere
async def test_a_closed_program_cannot_be_attached(counters: Counters) -> None:
    seen = raw_counter(counters)
    await seen.program.aclose()
    with pytest.raises(ClosedError, match="'counting'"):
        await seen.program.attach(RawTracepoint("sys_enter"))


@pytest.mark.everywhere
@pytest.mark.shows("pin")
async def test_a_pinned_link_outlives_its_close_until_it_is_unpinned(
    counters: Counters, calls_getpgid: Callable[[int], None], bpffs: Path
) -> None:
    seen = raw_counter(counters)
    path = bpffs / "link"
    async with seen.program.attach(RawTracepoint("sys_enter")) as link:
        link.pin(path)
        assert link.pinned_at == str(path)
    calls_getpgid(5)
    before = seen.count
    assert before >= 5
    again = await Link.from_pin(path)
    calls_getpgid(5)
    assert seen.count > before
    assert (await again.info()).type == LinkType.RAW_TRACEPOINT
    again.unpin()
    again.unpin()
    assert not path.exists()
    await again.aclose()
    after = seen.count
    calls_getpgid(5)
    assert seen.count == after


@pytest.mark.everywhere
async def test_pins_that_cannot_be_are_errors(counters: Counters, bpffs: Path, tmp_path: Path) -> None:
    async with raw_counter(counters).program.attach(RawTracepoint("sys_enter")) as link:
        with pytest.raises(KernelError, match="bpffs"):
            link.pin(tmp_path / "nowhere")
        link.pin(bpffs / "link")
        with pytest.raises(KernelError, match="EEXIST"):
            link.pin(bpffs / "link")
        (bpffs / "link").unlink()
        link.unpin()
    with pytest.raises(KernelError, match="ENOENT"):
        await Link.from_pin(bpffs / "absent")


@pytest.mark.everywhere
async def test_a_pinned_program_is_no_link(counters: Counters, bpffs: Path) -> None:
    seen = raw_counter(counters)
    seen.program.pin(bpffs / "program")
    with pytest.raises(SpecError, match="is no link but"):
        await Link.from_pin(bpffs / "program")


@pytest.mark.everywhere
async def test_detach_frees_a_hook_though_the_link_is_pinned(counters: Counters, cgroup: Path, bpffs: Path) -> None:
    import socket

    deny = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=0)
    async with deny.program.attach(Cgroup(cgroup)) as link:
        link.pin(bpffs / "link")
        await link.detach()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))


@pytest.mark.everywhere
async def test_tracing_links_say_that_they_cannot_be_updated_or_detached_by_force(counters: Counters) -> None:
    seen = raw_counter(counters)
    async with seen.program.attach(RawTracepoint("sys_enter")) as link:
        with pytest.raises(NotSupportedError, match=r"cannot be updated.*Attach the new program"):
            await link.update(seen.program)
        with pytest.raises(NotSupportedError, match=r"detached by force.*Unpin it and close it"):
            await link.detach()


@pytest.mark.everywhere
async def test_an_update_with_a_program_of_another_type_is_refused(counters: Counters, cgroup: Path) -> None:
    deny = counters(ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET4_BIND, retval=1)
    async with deny.program.attach(Cgroup(cgroup)) as link:
        with pytest.raises(KernelError, match="program 'counting'"):
            await link.update(raw_counter(counters).program)


@pytest.mark.everywhere
async def test_a_forgotten_link_warns_and_lets_go(counters: Counters, calls_getpgid: Callable[[int], None]) -> None:
    seen = raw_counter(counters)
    link = await seen.program.attach(RawTracepoint("sys_enter"))
    with pytest.warns(ResourceWarning, match=r"Link of program 'counting' on RawTracepoint.* never closed") as caught:
        del link
    assert len(caught) == 1
    after = seen.count
    calls_getpgid(5)
    assert seen.count == after


def test_a_leaked_link_stays_until_the_process_ends_without_a_warning(tmp_path: Path) -> None:
    script = tmp_path / "leak.py"
    script.write_text(
        textwrap.dedent(
            """
            import anyio
            from aiobpf.kernel import link_by_id, load_program
            from aiobpf.link import RawTracepoint
            from aiobpf.runtime.program import Program
            from aiobpf.uapi import ProgramType

            async def main():
                code = bytes.fromhex("b7000000000000009500000000000000")
                fd = load_program(ProgramType.RAW_TRACEPOINT, code)
                async with Program(fd, name="p", type=ProgramType.RAW_TRACEPOINT) as program:
                    link = await program.attach(RawTracepoint("sys_enter"))
                    number = (await link.info()).id
                    link.leak()
                    assert link.is_closed
                    del link
                    link_by_id(number).close()  # it is there still
                    print(number)

            anyio.run(main)
            """
        )
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, check=False,
        cwd=Path(aiobpf.kernel.fd.__file__).parents[2], env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert (result.stderr, result.returncode) == ("", 0)
    with pytest.raises(KernelError, match="ENOENT"):
        aiobpf.kernel.link_by_id(int(result.stdout))


# --- cancellation -----------------------------------------------------------------------------------------------------


@pytest.mark.everywhere
@pytest.mark.parametrize("kind", ["raw", "tracepoint", "samples"])
async def test_a_cancelled_attach_leaves_nothing(
    counters: Counters, kind: Any, calls_getpgid: Callable[[int], None]
) -> None:
    """Cancelled before it starts, and at several moments while the worker is at it; the fd fixture looks for leaks."""
    if kind == "raw":
        seen = raw_counter(counters)
        where: Any = RawTracepoint("sys_enter")
    elif kind == "tracepoint":
        seen = counters(ProgramType.TRACEPOINT, only_pid=os.getpid())
        where = Tracepoint("syscalls", "sys_enter_getpgid")
    else:
        seen, where = counters(ProgramType.PERF_EVENT), PerfEvent(frequency=99)
    for delay_s in (0, 0.0005, 0.002, 0.01):
        with anyio.move_on_after(delay_s):
            async with seen.program.attach(where):
                await anyio.sleep(10)
    after = seen.count
    calls_getpgid(5)
    assert seen.count == after


@pytest.mark.asyncio
async def test_native_cancellation_of_attach_and_close_leaves_nothing(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    """task.cancel() breaks out of the wait for a thread at once; a second one breaks a shield."""
    seen = raw_counter(counters)

    async def attach_and_close() -> None:
        link = await seen.program.attach(RawTracepoint("sys_enter"))
        await link.aclose()

    for rounds in range(1, 25):
        task = asyncio.create_task(attach_and_close())
        for _ in range(rounds):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    # Abandoned work ends in threads of its own: give it the moment that it takes.
    for _ in range(200):
        after = seen.count
        calls_getpgid(1)
        if seen.count == after:
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("a program still hangs there")


@pytest.mark.everywhere
async def test_close_in_a_cancelled_scope_still_lets_go(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    seen = raw_counter(counters)
    link = await seen.program.attach(RawTracepoint("sys_enter"))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await link.aclose()
    after = seen.count
    calls_getpgid(5)
    assert seen.count == after


# --- what one is made of ----------------------------------------------------------------------------------------------


class Recorder:
    def __init__(self, record: list[str], name: str, *, fails: bool = False) -> None:
        self.record, self.name, self.fails = record, name, fails

    def close(self) -> None:
        self.record.append(self.name)
        if self.fails:
            raise ValueError(self.name)

    def leak(self) -> None:
        self.record.append(f"leak {self.name}")

    def detach(self) -> int:
        self.record.append(f"detach {self.name}")
        return -1


def fd(record: list[str], name: str) -> OwnedFd:
    return cast("OwnedFd", Recorder(record, name))


def test_links_close_before_events_before_undos_and_a_failure_stops_none() -> None:
    record: list[str] = []
    attachment = Attachment()
    attachment.undos += [Recorder(record, "undo 1", fails=True), Recorder(record, "undo 2", fails=True)]
    attachment.events += [fd(record, "event 1"), fd(record, "event 2")]
    attachment.links += [fd(record, "link 1")]
    with pytest.raises(ValueError, match="undo 2"):
        attachment.close()
    assert record == ["link 1", "event 2", "event 1", "undo 2", "undo 1"]
    attachment.close()
    assert len(record) == 5


def test_a_failed_build_undoes_what_it_did_and_shows_the_first_failure() -> None:
    record: list[str] = []
    with pytest.raises(KeyError), building() as attachment:  # noqa: PT012 the block is what is built
        attachment.undos.append(Recorder(record, "undo", fails=True))
        attachment.events.append(fd(record, "event"))
        raise KeyError
    assert record == ["event", "undo"]
