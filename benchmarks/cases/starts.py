"""Tools from exec to attached: each says on its terminal when it is."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from benchmarks.cases.case import CaseError, Entrant
from benchmarks.interpreter import with_bytecode
from benchmarks.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.side import Side
    from benchmarks.workload import Workload

RUN = "aiobpf run, its exec monitor"
IMPORTS = "python -c 'import asyncio, anyio, attrs'"
PATIENCE_S = 10.0


@frozen
class Tool:
    """A command, and what it prints once it is ready, so many times."""

    command: tuple[str, ...]
    ready: bytes
    times: int = 1
    importing: tuple[str, ...] = ()
    """What Python is to run to tell what the imports of the command take; it ends by itself."""


_ATTACHED = b"aiobpf: attached program"

OWN_TOOLS = {
    RUN: Tool(
        (sys.executable, "-m", "aiobpf", "run", "--plain", "--verbose"),
        _ATTACHED,
        times=2,  # once for each program, and the monitor has two
        importing=("-m", "aiobpf", "run", "--plain", "--duration", "0"),
    ),
    IMPORTS: Tool(
        (sys.executable, "-c", "import asyncio, anyio, attrs; print('imported', flush=True)"),
        b"imported",
        importing=("-c", "import asyncio, anyio, attrs"),
    ),
}

# Of libbpf-tools, those that print their heading once they are attached. The first one watches what the exec monitor
# does, but needs tracefs; the last one attaches to the kernel's functions, as the monitor does.
LIBBPF_TOOLS = {
    "execsnoop": b"PCOMM",
    "exitsnoop": b"PCOMM",
    "runqslower": b"LAT(us)",
}


def libbpf_tool(cpu: int) -> dict[str, Tool]:
    """The first of `LIBBPF_TOOLS` that attaches on this machine, or none."""
    for name, heading in LIBBPF_TOOLS.items():
        path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        if path is None:
            continue
        tool = Tool((path,), heading)
        with suppress(CaseError):
            start(tool, cpu)
            return {f"{name} of libbpf-tools": tool}
    return {}


@frozen
class StartCase:
    """From before the fork to the words on the terminal; CPU time is that of all threads up to then."""

    rounds: int
    cpu: int
    tools: dict[str, Tool] = field()
    key: str = "start"
    title: str = "From exec to attached"
    unit: str = "start"
    needs_fresh_process: bool = False
    warm_ups: int = 1

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        return tuple(Entrant(label, "") for label in self.tools)

    def sample(self, side: Side | None, entrant: Entrant, workload: Workload) -> Sample:
        tool = self.tools[entrant.label]
        found = start(tool, self.cpu)
        return evolve(found, more={"imports_ns": import_ns(tool.importing, self.cpu)}) if tool.importing else found


def start_case(rounds: int, cpu: int) -> StartCase:
    return StartCase(rounds, cpu, {RUN: OWN_TOOLS[RUN], **libbpf_tool(cpu), IMPORTS: OWN_TOOLS[IMPORTS]})


def start(tool: Tool, cpu: int) -> Sample:
    """Run *tool* on a terminal of its own, so that it writes each line at once, until it is ready; then end it."""
    terminal, its_end = pty.openpty()
    try:
        began = time.monotonic_ns()
        process = subprocess.Popen(
            tool.command,
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            stderr=its_end,
            env=with_bytecode(),
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),  # noqa: PLW1509 - this process has no other thread
        )
        try:
            os.close(its_end)
            its_end = -1
            _wait(terminal, tool)
            return Sample(time.monotonic_ns() - began, _cpu_ns(process.pid))
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        os.close(terminal)
        if its_end >= 0:
            os.close(its_end)


def _wait(terminal: int, tool: Tool) -> None:
    """Until the tool has said what it is to say; CaseError if it ends or stays silent."""
    said = b""
    while said.count(tool.ready) < tool.times:
        ready, _, _ = select.select([terminal], [], [], PATIENCE_S)
        try:
            data = os.read(terminal, 4096) if ready else b""
        except OSError:  # EIO: nobody has the other end any more
            data = b""
        if not data:
            last = said.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise CaseError(f"{Path(tool.command[0]).name} did not get ready; it said: {last[0]}")
        said += data


def import_ns(arguments: Sequence[str], cpu: int) -> float:
    """What ``python -X importtime`` says that all imports took, those of the interpreter's start among them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=with_bytecode(),
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
    )
    own = [int(found[1]) for found in re.finditer(r"^import time: +(\d+) \|", done.stderr, re.MULTILINE)]
    if done.returncode or not own:
        raise CaseError(f"no import times: status {done.returncode}")
    return sum(own) * 1000.0


def _cpu_ns(process_id: int) -> int:
    """Time that all threads of a process had a CPU, up to now: /proc/PID/task/TID/schedstat."""
    total = 0
    for thread in Path(f"/proc/{process_id}/task").iterdir():
        with suppress(OSError):  # it has just ended
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return total
