"""Instructions that the process retires, as callgrind counts them (Debian: valgrind).

Each thing is done n and 2n times in one process; the difference is told, so that neither the interpreter's start nor
what is only done the first time counts. Of an import the whole is told, counted in a process of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from typing import TYPE_CHECKING

import anyio

from tests.guard import imports, marks
from tests.guard.bounds import YARDSTICK
from tests.guard.measured import REPOSITORY, WORK, MeasuringError, run
from tests.kernel_probes import may_use_bpf

if TYPE_CHECKING:
    from tests.guard.measured import Numbers

FOLDER = WORK / "callgrind"
HOW = f"callgrind_annotate {FOLDER.relative_to(REPOSITORY)}/FILE, the file whose 'desc: Trigger' names it"
_TRIGGER = re.compile(r"^desc: Trigger: Client Request: (?P<name>.*)\|(?P<size>\d+)\|(?P<factor>\d)$", re.MULTILINE)
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def callgrind() -> list[str]:
    """The tool, and the folder for what it writes made anew. MeasuringError where it or a compiler is missing."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise MeasuringError("no valgrind (Debian: valgrind)")
    marks.build()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    return [valgrind, "--tool=callgrind", "--instr-atstart=no", "--quiet"]


def measure() -> Numbers:
    """As root the streams too."""
    tool = callgrind()
    if may_use_bpf():
        anyio.run(_with_ring, [*tool, f"--callgrind-out-file={FOLDER}/work"])
    else:
        run("tests.guard.scenarios", "work", "", tool=[*tool, f"--callgrind-out-file={FOLDER}/work"])
    found = differences()
    if YARDSTICK not in found:
        raise MeasuringError(f"callgrind wrote nothing of {YARDSTICK} into {FOLDER}")
    for number, (name, statement) in enumerate(imports.STATEMENTS.items()):
        imports.modules(statement)  # compiled, if it was not
        file = f"import{number}"
        run("tests.guard.scenarios", "import", statement, tool=[*tool, f"--callgrind-out-file={FOLDER}/{file}"])
        found[f"import: {name}"] = _dumps(file)[0][3]
    return found


async def _with_ring(tool: list[str]) -> None:
    """The process that is counted reads a ring that this one fills when asked: valgrind knows few bpf(2) commands."""
    from tests.guard.scenarios import RECORDS
    from tests.guard.streams import RING, loaded, refill

    async with loaded() as workload:
        asked, ask = os.pipe()
        answered, answer = os.pipe()

        def fill() -> None:
            while os.read(asked, 1):
                refill(workload, RECORDS)
                os.write(answer, b"!")

        producer = threading.Thread(target=fill)
        producer.start()
        fds = [workload.fd(RING), ask, answered]
        try:
            run("tests.guard.scenarios", "work", ",".join(map(str, fds)), tool=tool, fds=fds)
        finally:
            os.close(ask)
            producer.join()
            for each in (asked, answered, answer):
                os.close(each)


def _dumps(file: str) -> list[tuple[str, int, int, int]]:
    """Name, size, factor and instructions of each dump."""
    found = []
    for dump in sorted(FOLDER.glob(f"{file}.*")):
        text = dump.read_text()
        trigger, total = _TRIGGER.search(text), _TOTAL.search(text)
        if trigger and total:
            found.append((trigger["name"], int(trigger["size"]), int(trigger["factor"]), int(total[1])))
    return found


def differences() -> Numbers:
    """Of each scenario what twice as much took more, for one of what it has."""
    once: dict[str, int] = {}
    found: Numbers = {}
    for name, size, factor, count in sorted(_dumps("work"), key=lambda each: each[2]):
        if factor == 1:
            once[name] = count
        else:
            found[name] = round((count - once[name]) / size, 1)
    return found


if __name__ == "__main__":
    for name, count in measure().items():
        print(f"{count:>15,} {name}")
