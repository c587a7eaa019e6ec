"""Functions that a process compiled while it ran, as its JIT writes them down: /tmp/perf-PID.map.

tools/perf/Documentation/jit-interface.txt: a line is START SIZE NAME, the numbers in hexadecimal.
"""

from __future__ import annotations

import io
import os
import stat
from collections import deque
from typing import TYPE_CHECKING, Final

from aiobpf.symbols.table import SymbolTable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 32 << 20
MAX_LINES: Final = 500_000
_MAX_NAME: Final = 4096


def parse_perf_map(data: bytes) -> SymbolTable:
    """The functions of a map's bytes; lines that are none are passed over, and of two at one address the later counts.

    Of more than `MAX_LINES` lines those at the end count, which a JIT wrote last.

    Invariant: any bytes give a table.
    """
    return SymbolTable(_rows(data), exact=True)


def _rows(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    found: dict[int, tuple[int, bytes]] = {}
    for line in deque(io.BytesIO(data), maxlen=MAX_LINES):
        fields = line.split(None, 2)
        if len(fields) != 3:
            continue
        try:
            start, size = int(fields[0], 16), int(fields[1], 16)
        except ValueError:
            continue
        if 0 <= start < 1 << 64 and 0 < size < 1 << 48:
            found[start] = (size, fields[2].rstrip(b"\r\n")[:_MAX_NAME])
    for start, (size, name) in found.items():
        yield start, size, name


def read_perf_map(pid: int) -> SymbolTable | None:
    """That of process *pid*, from its own /tmp and by its own number there; None where it has none.

    A file of another user than the process's is not believed, nor one that is no regular file.
    """
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
        number = fields.get("NSpid", str(pid)).split()[-1]
        user = int(fields["Uid"].split()[1])
        path = f"/proc/{pid}/root/tmp/perf-{int(number)}.map"
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    with open(fd, "rb") as file:
        told = os.fstat(fd)
        if not stat.S_ISREG(told.st_mode) or told.st_uid not in {user, 0}:
            return None
        if told.st_size > MAX_BYTES:
            file.seek(told.st_size - MAX_BYTES)
            file.readline(MAX_BYTES)  # the rest of a line, which might pass for one
        return parse_perf_map(file.read(MAX_BYTES))
