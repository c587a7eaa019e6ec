"""What a process has mapped, by /proc/PID/maps."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.errors import kernel_error

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_BYTES: Final = 32 << 20  # 65,530 mappings at most (vm.max_map_count), each with a path of 4096 bytes if it likes

_MAPS_LINE = re.compile(
    r"(?P<start>[0-9a-f]{1,16})-(?P<end>[0-9a-f]{1,16}) (?P<permissions>\S{4}) (?P<offset>[0-9a-f]{1,16}) "
    r"(?P<major>[0-9a-f]{1,4}):(?P<minor>[0-9a-f]{1,6}) (?P<inode>[0-9]{1,20}) *(?P<path>.*)",
    re.DOTALL | re.ASCII,
)


@frozen
class Mapping:
    """One line of /proc/PID/maps that maps a file: addresses *start* to *end* are the file from *offset* on."""

    start: int
    end: int
    offset: int
    device: int
    inode: int
    path: str
    is_executable: bool


def file_mappings(pid: int | None) -> Iterator[Mapping]:
    """The files that process *pid* (None: this one) has mapped.

    Raises KernelError (ENOENT, EACCES) where there is no such process or it may not be looked into.
    """
    return parse_mappings(read_mappings(pid))


def read_mappings(pid: int | None) -> str:
    """The text of /proc/PID/maps, its first 32 MiB. Raises as `file_mappings` does."""
    who = "self" if pid is None else str(pid)
    try:
        with open(f"/proc/{who}/maps", "rb") as file:  # as bytes: a text file's lines end at "\r" as well
            return file.read(_MAX_BYTES).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise kernel_error(error.errno or errno.EIO, "read /proc/PID/maps", f"process {who}") from error


def parse_mappings(text: str) -> Iterator[Mapping]:
    """The files in the text of /proc/PID/maps.

    A process names its files, and may name them as lines of this very file: the kernel writes a newline in a name as
    "\\012", and no other character ends a line. What is no line of the kernel's is passed over.
    """
    for line in text.split("\n"):
        match = _MAPS_LINE.fullmatch(line)
        if match is None or not match["path"].startswith("/"):
            continue
        yield Mapping(
            start=int(match["start"], 16),
            end=int(match["end"], 16),
            offset=int(match["offset"], 16),
            device=os.makedev(int(match["major"], 16), int(match["minor"], 16)),
            inode=int(match["inode"]),
            path=match["path"].removesuffix(" (deleted)").replace("\\012", "\n"),
            is_executable="x" in match["permissions"],
        )


def parse_vdso(text: str) -> range | None:
    """The addresses of the kernel's code for user space ("[vdso]") in the same text; None where there is none."""
    for line in text.split("\n"):
        match = _MAPS_LINE.fullmatch(line) if line.endswith("[vdso]") else None
        if match is not None and match["path"] == "[vdso]":
            return range(int(match["start"], 16), int(match["end"], 16))
    return None
