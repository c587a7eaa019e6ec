"""System calls, as strace counts them (Debian: strace). As root; Linux 5.17."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING

from tests.guard.measured import REPOSITORY, WORK, MeasuringError, run
from tests.guard.streams import WAYS
from tests.guard.traced import ENTRIES, EVENTS, LOOPS, MARK, OPERATIONS, PROGRAMS, WAKE_UPS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.guard.measured import Numbers

TRACE = WORK / "strace"
RUN_TRACE = WORK / "strace-run"
HOW = f'strace\'s output is {TRACE.relative_to(REPOSITORY)}; a part begins with access("{MARK}/begin/...")'

_LINE = re.compile(r"^\d+ +(?P<call>\w+)\((?P<rest>.*)$")  # not "<... resumed>": the call was counted as it began
_MARK = re.compile(rf'^"{MARK}/(?P<edge>begin|end)/(?P<part>[^"]*)"')
_COMMAND = re.compile(r"^(BPF_\w+)")
_CODE_FILE = re.compile(r'"[^"]*\.(?:py|pyc|so)(?:\.[\d.]+)?", [^)]*\) = \d+$')

WAITING = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}


def parts(lines: Iterable[str]) -> dict[str, Counter[str]]:
    """The calls of each part by name, those of bpf(2) by command."""
    found: dict[str, Counter[str]] = {}
    current: Counter[str] | None = None
    for line in lines:
        matched = _LINE.match(line)
        if matched is None:
            continue
        call, rest = matched["call"], matched["rest"]
        mark = _MARK.match(rest)
        if mark is not None:
            current = found.setdefault(mark["part"], Counter()) if mark["edge"] == "begin" else None
        elif current is not None:
            command = _COMMAND.match(rest) if call == "bpf" else None
            current[command[1] if command else call] += 1
    return found


def of_bpf(calls: Counter[str]) -> int:
    return sum(count for call, count in calls.items() if call.startswith("BPF_"))


def count_of(calls: Counter[str], names: set[str]) -> int:
    return sum(count for call, count in calls.items() if call in names)


def numbers_of(found: dict[str, Counter[str]]) -> Numbers:
    told: Numbers = {}
    for which in ("first", "second"):
        calls = found[f"{which} load"]
        what = f"{which} load of {PROGRAMS} programs"
        told[f"{what}: BPF_PROG_LOAD"] = calls["BPF_PROG_LOAD"]
        told[f"{what}: other bpf(2)"] = of_bpf(calls) - calls["BPF_PROG_LOAD"]
        told[f"{what}: files opened"] = calls["openat"]
    for each in ("lookups", "updates", "deletes"):
        told[f"{OPERATIONS} {each}: bpf(2)"] = of_bpf(found[each])
        told[f"{OPERATIONS} {each}: other calls"] = found[each].total() - of_bpf(found[each])
    told[f"update_many of {ENTRIES} entries: bpf(2)"] = of_bpf(found["update_many"])
    told[f"scan of {ENTRIES} entries: bpf(2)"] = of_bpf(found["scan"])
    for loop in (loop for loop in LOOPS if f"wake-ups, {loop}" in found):
        for way in WAYS:
            calls = found[f"{way}, {loop}"]
            told[f"4096 events at saturation, {way}, {loop}: all calls"] = round(calls.total() * 4096 / EVENTS, 2)
        calls = found[f"wake-ups, {loop}"]
        others = calls.total() - count_of(calls, WAITING) - of_bpf(calls) - calls["epoll_ctl"]
        told[f"a wake-up, {loop}: epoll_ctl"] = calls["epoll_ctl"] // WAKE_UPS
        told[f"a wake-up, {loop}: other calls but waits"] = others // WAKE_UPS
    return told


def tool(output: Path) -> list[str]:
    """strace, all threads of a process; MeasuringError where it is missing."""
    strace = shutil.which("strace")
    if strace is None:
        raise MeasuringError("no strace (Debian: strace)")
    output.parent.mkdir(parents=True, exist_ok=True)
    return [strace, "-f", "-qq", "-o", str(output)]


def measure() -> Numbers:
    run("tests.guard.traced", tool=tool(TRACE))
    with TRACE.open() as lines:
        told = numbers_of(parts(lines))
    for _ in range(2):  # all is compiled by then
        run("aiobpf", "run", "--duration", "0.2", tool=[*tool(RUN_TRACE), "-e", "openat"])
    told["aiobpf run: files of code opened"] = sum(
        bool(_CODE_FILE.search(line)) for line in RUN_TRACE.read_text().splitlines()
    )
    return told


if __name__ == "__main__":
    for name, count in measure().items():
        print(f"{count:>8} {name}")
