"""The smallest maps and programs, made instruction by instruction."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from aiobpf import asm
from aiobpf.kernel import create_map, load_program
from aiobpf.kernel.mounts import BPF_FS_MAGIC, filesystem_magic
from aiobpf.uapi import MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aiobpf.kernel import OwnedFd


def returning(value: int) -> bytes:
    """Wire slots of a program that returns *value*."""
    return asm.Instructions([asm.mov(asm.R0, value), asm.exit_()]).encode()


@pytest.fixture
def code() -> Callable[[int], bytes]:
    return returning


@pytest.fixture
def make_map() -> Iterator[Callable[..., OwnedFd]]:
    """create_map, closed at the end."""
    with contextlib.ExitStack() as made:

        def make(
            kind: MapType = MapType.HASH, key_size: int = 4, value_size: int = 8, entries: int = 16, *, flags: int = 0
        ) -> OwnedFd:
            return made.enter_context(create_map(kind, key_size, value_size, entries, flags=flags))

        yield make


@pytest.fixture
def make_program() -> Iterator[Callable[..., OwnedFd]]:
    """A program that returns a value, closed at the end."""
    with contextlib.ExitStack() as made:

        def make(
            kind: ProgramType = ProgramType.SOCKET_FILTER, value: int = 0, *, expected_attach_type: int = 0
        ) -> OwnedFd:
            program = load_program(kind, returning(value), name="test", expected_attach_type=expected_attach_type)
            return made.enter_context(program)

        yield make


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpffs of the test's own."""
    import subprocess

    directory = tmp_path / "bpf"
    directory.mkdir()
    made = subprocess.run(["mount", "-t", "bpf", "bpf", directory], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot mount a bpffs: {made.stderr.decode()}")
    try:
        assert filesystem_magic(os.fspath(directory)) == BPF_FS_MAGIC
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)
