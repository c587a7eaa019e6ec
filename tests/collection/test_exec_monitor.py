"""The bundled exec monitor sees a process begin and end, on every kernel from 5.10 on."""

from __future__ import annotations

import os
import subprocess

import anyio
import pytest

import aiobpf
from aiobpf.programs import EXEC_MONITOR, arguments

pytestmark = [pytest.mark.root, pytest.mark.asyncio]

EXEC, EXIT = 0, 1
COMMAND = ["/bin/sh", "-c", "exit 3", "seen by the exec monitor"]


async def test_the_exec_monitor_sees_who_ran_what_and_how_it_ended() -> None:
    spec = aiobpf.read_spec(EXEC_MONITOR)
    spec.variables["only_uid"].value = os.getuid()
    async with aiobpf.load(spec) as monitor, monitor.attach(), monitor.stream("events") as events:
        with subprocess.Popen(COMMAND) as process:
            pass
        with anyio.fail_after(30):
            executed = await anext(event async for event in events if event.pid == process.pid and event.kind == EXEC)
            ended = await anext(event async for event in events if event.pid == process.pid and event.kind == EXIT)
        assert monitor.variables["lost_events"].value == 0
    assert executed.filename == "/bin/sh"
    assert arguments(bytes(executed.argv), executed.argv_size) == COMMAND
    assert (executed.ppid, executed.uid) == (os.getpid(), os.getuid())
    assert (ended.exit_code, ended.signal) == (3, 0)
    assert ended.duration_ns > 0
