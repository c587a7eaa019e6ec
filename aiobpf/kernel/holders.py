"""Which processes hold BPF objects, as /proc tells it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.kernel.ids import ObjectKind
from aiobpf.kernel.pins import kind_of_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID_LINES = {
    ObjectKind.MAP: b"map_id:",
    ObjectKind.PROGRAM: b"prog_id:",
    ObjectKind.LINK: b"link_id:",
    ObjectKind.BTF: b"btf_id:",
}


@frozen
class Holder:
    """A process, and its descriptor of an object."""

    pid: int
    command: str
    """Its comm: at most 15 characters."""
    fd: int


def object_holders() -> dict[tuple[ObjectKind, int], list[Holder]]:
    """The holders of each object, by its kind and id. Threads share their process's descriptors.

    Processes that end meanwhile, and those that may not be looked into, are left out.
    """
    found: dict[tuple[ObjectKind, int], list[Holder]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        command: str | None = None
        for fd, kind in _bpf_descriptors(name):
            number = _object_id(f"/proc/{name}/fdinfo/{fd}", kind)
            if number is not None:
                if command is None:
                    command = _command(name)
                found.setdefault((kind, number), []).append(Holder(int(name), command, int(fd)))
    return found


def _bpf_descriptors(process: str) -> Iterator[tuple[str, ObjectKind]]:
    directory = f"/proc/{process}/fd"
    try:
        names = os.listdir(directory)
    except OSError:  # it ended, or is not to be looked into
        return
    for name in names:
        try:
            kind = kind_of_file(os.readlink(f"{directory}/{name}"))
        except OSError:
            continue
        if kind is not None:
            yield name, kind


def _object_id(path: str, kind: ObjectKind) -> int | None:
    prefix = _ID_LINES[kind]
    try:
        with open(path, "rb") as lines:
            for line in lines:
                if line.startswith(prefix):
                    return int(line[len(prefix) :])
    except OSError:
        pass
    return None  # btf_id came with 5.19; another object may have the number by now


def _command(process: str) -> str:
    try:
        with open(f"/proc/{process}/comm", "rb") as file:
            return file.read().rstrip(b"\n").decode(errors="replace")
    except OSError:
        return ""
