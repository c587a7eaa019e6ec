"""Who keeps the kernel's objects: pins in the bpffs that are mounted, and processes."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from aiobpf import pins
from aiobpf.errors import BpfError
from aiobpf.kernel.mounts import mounts
from aiobpf.runtime import holders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.kernel import Holder, ObjectKind

    Key = tuple[ObjectKind, int]


@frozen
class Uses:
    """The pins and the processes of each object, by its kind and id."""

    pins: Mapping[Key, Sequence[str]] = field(factory=dict)
    processes: Mapping[Key, Sequence[Holder]] = field(factory=dict)

    def facts(self, kind: ObjectKind, number: int) -> dict[str, Any]:
        """``pinned`` and ``held_by``, as JSON has them."""
        us = os.getpid()  # who asks has it open for that
        names = {each.pid: each.command for each in self.processes.get((kind, number), ()) if each.pid != us}
        return {
            "pinned": list(self.pins.get((kind, number), ())),
            "held_by": [{"pid": pid, "command": name} for pid, name in names.items()],
        }


def held_in_short(facts: Mapping[str, Any]) -> str:
    """The processes of `Uses.facts` for a cell of a table."""
    return " ".join(f"{each['command']}({each['pid']})" for each in facts["held_by"])


def held_by_lines(facts: Mapping[str, Any]) -> list[str]:
    """The processes of `Uses.facts`, a line each."""
    return [f"{each['command']} (pid {each['pid']})" for each in facts["held_by"]]


async def read_uses() -> Uses:
    """Every bpffs that is mounted, and every process that one may look into; what cannot be read is left out."""
    found: dict[Key, list[str]] = defaultdict(list)
    for directory in dict.fromkeys(mounts("bpf")):
        try:
            async for pin in pins.walk(directory):
                found[pin.kind, pin.id].append(pin.path)
        except (BpfError, OSError):
            continue
    return Uses(found, await holders())
