"""Which CPUs there may be, and which there are."""

from __future__ import annotations

from pathlib import Path

from aiobpf.errors import BpfError

_SYSFS = Path("/sys/devices/system/cpu")


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
        first, _, last = part.partition("-")
        if not (first.isascii() and first.isdigit() and (last.isdigit() or "-" not in part)):
            raise BpfError(f"not a list of CPUs: {text!r}")
        begin, end = int(first), int(last or first)
        if end < begin or end >= 1 << 16:
            raise BpfError(f"not a list of CPUs: {text!r}")
        cpus.extend(range(begin, end + 1))
    return tuple(cpus)
