"""tracefs: the ids of tracepoints, and probes made by writing a line (the way before 4.17).

It need not be mounted: root reads it through a private mount that hangs nowhere.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, final

from aiobpf._native import lib
from aiobpf.errors import BpfError, KernelError, NotSupportedError, kernel_error
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.mounts import TRACEFS_MAGIC, filesystem_magic, mounts, private_mount

if TYPE_CHECKING:
    from types import TracebackType

_USUAL = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_NAME = re.compile(r"[A-Za-z0-9_.\-]+", re.ASCII)
_MOUNT_HINT = "Mount it: mount -t tracefs nodev /sys/kernel/tracing"
_O_PATH_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_MAX_BYTES = 64 << 20


@final
class Tracefs:
    """An open tracefs: where it is mounted, or a private mount of it. Close it when done; opening takes some 100 us."""

    def __init__(self, root: OwnedFd, path: str | None) -> None:
        self._root = root
        self.path = path
        """Where it is mounted; None for a private mount."""

    @classmethod
    def open(cls) -> Tracefs:
        """The tracefs of this machine.

        NotSupportedError: the kernel has none. MissingPrivilegeError: it is not mounted, and a private mount takes
        CAP_SYS_ADMIN; the message says how to mount it.
        """
        for path in _mounted():
            root = OwnedFd(what=f"tracefs at {path}")
            if not lib.sys_openat(-100, os.fsencode(path), _O_PATH_DIRECTORY, root.cell):
                return cls(root, path)
        try:
            return cls(private_mount("tracefs"), None)
        except KernelError as error:
            if error.errno == errno.ENODEV:
                raise NotSupportedError("tracefs", hint="The kernel is built without CONFIG_TRACING") from None
            raise kernel_error(error.errno or 0, "opening", "tracefs, which is not mounted", _MOUNT_HINT) from None

    def close(self) -> None:
        self._root.close()

    def __enter__(self) -> Tracefs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, name: str) -> str:
        """The text of one file, named from the root ("events/sched/sched_switch/id")."""
        with self._open(name, os.O_RDONLY) as fd:
            parts = []
            size = 0
            while part := os.read(fd.fileno(), 1 << 16):
                parts.append(part)
                size += len(part)
                if size > _MAX_BYTES:
                    raise BpfError(f"tracefs {name} does not end")
        return b"".join(parts).decode(errors="replace")

    def open_pipe(self, instance: str | None = None) -> OwnedFd:
        """A descriptor of ``trace_pipe``, of an instance's if one is given: reading takes what is there, EAGAIN where
        nothing is. KernelError: EBUSY where an instance's is read already."""
        return self._open(f"instances/{instance}/trace_pipe" if instance else "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)

    def append(self, name: str, line: str) -> None:
        """Write one line to a file; the kernel's answer to it is the error. Never retried: it may have been taken."""
        data = line.encode() + b"\n"
        with self._open(name, os.O_WRONLY | os.O_APPEND) as fd:
            try:
                os.write(fd.fileno(), data)
            except OSError as error:
                raise kernel_error(error.errno or 0, f"writing {line!r}", f"tracefs {name}") from None

    def _open(self, name: str, flags: int) -> OwnedFd:
        owner = OwnedFd(what=f"tracefs {name}")
        error = lib.sys_openat(self._root.fileno(), os.fsencode(name), flags, owner.cell)
        if error:
            raise kernel_error(-error, "opening", f"tracefs {name}")
        return owner

    def tracepoint_id(self, category: str, name: str) -> int:
        """The number that perf_event_open takes. NotSupportedError: this kernel has no such tracepoint."""
        for part in (category, name):
            if not _NAME.fullmatch(part) or part.startswith("."):
                raise ValueError(f"no name of a tracepoint: {part!r}")
        try:
            return int(self.read(f"events/{category}/{name}/id"))
        except KernelError as error:
            if error.errno == errno.ENOENT:
                raise NotSupportedError(
                    f"tracepoint {category}/{name}", hint="This kernel has no such tracepoint"
                ) from None
            raise

    def available_filter_functions(self) -> list[str]:
        """The functions that ftrace, and so kprobe.multi and fentry, can hook. EPERM under lockdown."""
        return [line.split(None, 1)[0] for line in self.read("available_filter_functions").splitlines() if line]

    # --- probes before 4.17 -------------------------------------------------------------------------------------------

    def add_probe(
        self, kind: str, group: str, name: str, where: str, *, is_return: bool = False, max_active: int = 0
    ) -> int:
        """Define a "kprobe" (*where*: ``function+offset``) or "uprobe" (``path:0xoffset``); its tracepoint id.

        *max_active* (4.12) is how many returns of a kprobe may be awaited at once, 0 for the kernel's choice. It
        outlives this process: `remove_probe` it. KernelError: ENOENT, EINVAL, EEXIST.
        """
        letter = f"r{max_active or ''}" if is_return else "p"
        self.append(_probe_file(kind), f"{letter}:{group}/{name} {where}")
        try:
            return self.tracepoint_id(group, name)
        except BaseException:
            self.remove_probe(kind, group, name)
            raise

    def remove_probe(self, kind: str, group: str, name: str) -> None:
        """Undo `add_probe`. EBUSY while an event of it is open."""
        self.append(_probe_file(kind), f"-:{group}/{name}")


def tracepoint_id(category: str, name: str) -> int:
    """`Tracefs.tracepoint_id`, opening tracefs for it."""
    with Tracefs.open() as tracefs:
        return tracefs.tracepoint_id(category, name)


def _probe_file(kind: str) -> str:
    if kind not in {"kprobe", "uprobe"}:
        raise ValueError(f"a probe is a kprobe or a uprobe, not {kind!r}")
    return f"{kind}_events"


def _mounted() -> list[str]:
    """Where tracefs can be reached, the usual places first."""
    found = []
    for path in (*_USUAL, *mounts("tracefs")):
        try:
            # debugfs mounts tracefs at its "tracing" when somebody looks: so look, not only read /proc/mounts.
            if path not in found and filesystem_magic(path) == TRACEFS_MAGIC:
                found.append(path)
        except KernelError:
            continue
    return found
