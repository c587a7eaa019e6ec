"""Building the peers, each with its own tools, into benchmarks/.work/."""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.side import Program

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
WORK = HERE.parent / ".work"


class UnbuiltError(Exception):
    """A peer cannot be built here; the message says why, in one line."""


@frozen
class Peer:
    """A peer: its name in tables, and what builds it."""

    name: str
    build: Callable[[], Program]


def _run(name: str, tool: str, arguments: list[str], directory: Path) -> None:
    found = shutil.which(tool)
    if found is None:
        raise UnbuiltError(f"there is no {tool} here")
    done = subprocess.run(
        [found, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines or ["no message"]
        raise UnbuiltError(f"{tool} failed for {name}: {errors[0].strip()}")


def libbpf() -> Program:
    """gcc and libbpf-dev."""
    _run("libbpf", "make", ["-s", f"OUT={WORK}"], HERE / "libbpf_c")
    return Program("libbpf (C)", (str(WORK / "libbpf_c"),))


def cilium() -> Program:
    """Go, with modules from the module proxy as go.sum pins them."""
    arguments = ["build", "-mod=readonly", "-o", str(WORK / "cilium_go"), "."]
    _run("cilium/ebpf", "go", arguments, HERE / "cilium_go")
    return Program("cilium/ebpf (Go)", (str(WORK / "cilium_go"),))


def aya() -> Program:
    """cargo, with crates from crates.io as Cargo.lock pins them."""
    target = WORK / "aya_rust"
    _run("aya", "cargo", ["build", "-q", "--release", "--locked", f"--target-dir={target}"], HERE / "aya_rust")
    return Program("aya (Rust)", (str(target / "release" / "aya_rust"),))


def bcc() -> Program:
    """Nothing to build: ctypes and libbpf.so."""
    if ctypes.util.find_library("bpf") is None:
        raise UnbuiltError("there is no libbpf.so here")
    return Program("BCC style (ctypes)", (sys.executable, "-m", "benchmarks.peers.bcc_ctypes"))


PEERS = (
    Peer("libbpf (C)", libbpf),
    Peer("cilium/ebpf (Go)", cilium),
    Peer("aya (Rust)", aya),
    Peer("BCC style (ctypes)", bcc),
)


def build_all() -> tuple[list[Program], dict[str, str]]:
    """The peers that could be built, and why the others could not."""
    WORK.mkdir(exist_ok=True)
    built, unbuilt = [], {}
    for peer in PEERS:
        try:
            built.append(peer.build())
        except UnbuiltError as error:
            unbuilt[peer.name] = str(error)
    return built, unbuilt
