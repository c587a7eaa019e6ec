"""The part of a section name behind its prefix: "vfs_read+0x10", "/bin/bash:readline"."""

from __future__ import annotations

import re

from aiobpf.errors import SpecError

_OFFSET = re.compile(r"0[xX](?P<hex>[0-9a-fA-F]{1,16})|0[oO]?(?P<octal>[0-7]{1,22})|(?P<decimal>[0-9]{1,20})")
_COLON = re.compile("(?<!:):(?!:)")  # not those of a C++ or Rust name
_BASES = {"hex": 16, "octal": 8, "decimal": 10}
_U64 = 1 << 64


def parse_offset(text: str) -> int | None:
    """A number as C writes one ("16", "0x10", "020"), None where it is none or does not fit 64 bits."""
    match = _OFFSET.fullmatch(text)
    if match is None or match.lastgroup is None:
        return None
    value = int(match[match.lastgroup], _BASES[match.lastgroup])
    return value if value < _U64 else None


def split_offset(target: str) -> tuple[str, int]:
    """("vfs_read", 16) from "vfs_read+0x10"; the offset is 0 where there is none. SpecError where it is no number."""
    name, plus, text = target.rpartition("+")
    if not plus:
        return target, 0
    offset = parse_offset(text)
    if offset is None or not name:
        raise SpecError(f"{target!r} is not NAME+OFFSET")
    return name, offset


def split_binary(target: str) -> tuple[str, str] | None:
    """("/bin/bash", "readline") from "/bin/bash:readline", None where there is no colon: at the last single one."""
    colons = list(_COLON.finditer(target))
    return (target[: colons[-1].start()], target[colons[-1].end() :]) if colons else None
