"""Objects that no one here wrote: those inside the executables of Debian's libbpf-tools."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load programs")]

OPEN_EVENT = "__u64 ts; pid_t pid; uid_t uid; int ret; int flags; __u64 callers[2]; char comm[16]; char fname[255]"
"""struct event of opensnoop.h, which the object does not have in its BTF."""


@pytest.fixture
def extracted(tmp_path: Path) -> Callable[[str], str]:
    """The BPF object (machine 247) inside an executable of libbpf-tools, as a file."""

    def extract(tool: str) -> str:
        executable = Path("/usr/sbin") / tool
        if not executable.exists():
            pytest.skip(f"{executable} is not installed (Debian: libbpf-tools)")
        data = executable.read_bytes()
        at = data.find(b"\x7fELF", 1)
        while data[at + 18 : at + 20] != b"\xf7\0":
            assert at > 0
            at = data.find(b"\x7fELF", at + 1)
        (sections,) = struct.unpack_from("<Q", data, at + 40)
        (count,) = struct.unpack_from("<H", data, at + 60)
        path = tmp_path / f"{tool}.bpf.o"
        path.write_bytes(data[at : at + sections + 64 * count])
        return str(path)

    return extract


def test_execsnoop(extracted: Callable[[str], str], start: Start) -> None:
    shown = start(
        extracted("execsnoop"), "--json", "--map", "events:event", ready="'tracepoint__syscalls__sys_exit_execve'"
    )
    child = subprocess.Popen(["/bin/true", "to be seen"])
    child.wait()
    event = shown.next()
    while event["pid"] != child.pid:
        event = shown.next()
    shown.end()
    assert event["map"] == "events"
    assert (event["ppid"], event["retval"], event["args_count"], event["comm"]) == (os.getpid(), 0, 2, "true")


def test_opensnoop(extracted: Callable[[str], str], start: Start, tmp_path: Path) -> None:
    shown = start(
        extracted("opensnoop"), "--json", "--map", f"events:{OPEN_EVENT}",
        ready="'tracepoint__syscalls__sys_exit_openat'",
    )  # fmt: skip
    absent = str(tmp_path / "absent")
    subprocess.run(["/bin/cat", absent], check=False, stderr=subprocess.DEVNULL)
    event = shown.next()
    while event["fname"] != absent:
        event = shown.next()
    shown.end()
    assert (event["comm"], event["ret"], event["uid"]) == ("cat", -2, os.getuid())


def test_opensnoop_without_a_type_is_shown_in_hex(extracted: Callable[[str], str], start: Start) -> None:
    shown = start(extracted("opensnoop"), "--json", ready="'tracepoint__syscalls__sys_exit_openat'")
    subprocess.run(["/bin/cat", "/dev/null"], check=True)
    while b"/dev/null\0" not in bytes.fromhex(shown.next()["data"]):
        pass
    _, err = shown.end()
    assert "the object does not say what events carries: shown in hex; --map NAME:TYPE says it" in err
