"""Which CPUs there may be, and which there are."""

from __future__ import annotations

import re
from pathlib import Path

from aiobpf.errors import BpfError

_SYSFS = Path("/sys/devices/system/cpu")
_MOST = 1 << 16


def possible_cpus() -> tuple[int, ...]:
    """Every CPU that this kernel could ever bring up: per-CPU map values have a slot for each (from 0, no gaps).

    Not the same as online: a machine with hot-pluggable or offline CPUs has more.
    """
    return parse_cpu_list((_SYSFS / "possible").read_text())


def online_cpus() -> tuple[int, ...]:
    """The CPUs that run now: perf events can be opened on these."""
    return parse_cpu_list((_SYSFS / "online").read_text())


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """The kernel's list format: ``0-3,5`` (Documentation/admin-guide/cputopology.rst). BpfError for anything else."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        begin, end = _number(first), _number(last if dash else first)
        # Ascending, as the kernel writes it: no CPU comes twice, so the list has an end.
        if begin is None or end is None or end < begin or (cpus and begin <= cpus[-1]):
            raise BpfError(f"not a list of CPUs: {text[:80]!r}")
        cpus.extend(range(begin, end + 1))
    return tuple(cpus)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) and int(text) < _MOST else None
