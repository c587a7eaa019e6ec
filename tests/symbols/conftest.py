"""A process whose functions are known."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = Path(__file__).parent / "target.c"


@define
class Target:
    """A process of target.c, and where its functions are."""

    process: subprocess.Popen[str]
    inner: int
    outer: int
    main: int

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def target_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("target") / "target"
    options = ["-O0", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-Wl,--build-id"]
    subprocess.run(["gcc", *options, "-o", str(path), str(SOURCE)], check=True)
    return path


@pytest.fixture
def start(target_binary: Path) -> Iterator[Callable[..., Target]]:
    """``start()``, or ``start(path)`` of another file of it."""
    targets: list[Target] = []

    def run(path: Path = target_binary) -> Target:
        process = subprocess.Popen([str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        made = Target(process, *(int(each, 16) for each in process.stdout.readline().split()))
        targets.append(made)
        return made

    yield run
    for each in targets:
        each.end()
        assert each.process.stdout is not None
        each.process.stdout.close()


@pytest.fixture
def target(start: Callable[..., Target]) -> Target:
    return start()
