"""Every BPF object that others compiled, as a file to load."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.foreign_objects import foreign_objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.foreign_objects import ForeignObject


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "foreign" in metafunc.fixturenames:
        metafunc.parametrize("foreign", foreign_objects(), ids=lambda foreign: foreign.name)


@pytest.fixture
def foreign_path(foreign: ForeignObject, tmp_path: Path) -> Path:
    """The object as a file."""
    path = tmp_path / foreign.name.replace("/", "-")
    path.write_bytes(foreign.content)
    return path


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpffs of the test's own."""
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)
