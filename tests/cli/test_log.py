"""``aiobpf log``: what programs print, as it comes."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf import kernel
from aiobpf.cli.commands import main
from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.elf import read_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.collection.load import Loaded

OBJECT = Path(__file__).parent.parent / "objects" / "kernel_log.bpf.o"
NUMBER = os.getpid()

pytestmark = pytest.mark.root


@pytest.fixture
def loaded() -> Iterator[Callable[[str], Loaded]]:
    found: list[Loaded] = []

    def load(program: str) -> Loaded:
        made = load_collection(read_spec(OBJECT), LoadPlan(programs=frozenset([program])))
        found.append(made)
        made.variables["number"].value = NUMBER
        return made

    yield load
    for each in found:
        each.close()


def run_soon(loaded: Loaded, name: str, data: bytes) -> threading.Thread:
    def run() -> None:
        time.sleep(0.2)
        loaded.programs[name].run_sync(data)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_the_trace_is_shown_with_who_printed(
    loaded: Callable[[str], Loaded], capsys: pytest.CaptureFixture[str]
) -> None:
    thread = run_soon(loaded("to_trace"), "to_trace", bytes(64))
    assert main(["log", "--duration", "0.8", "--json"]) == 0
    thread.join()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ours = [each for each in told if each["message"].endswith(f" {NUMBER}")]
    assert [(each["level"], each["message"]) for each in ours] == [
        ("info", f"hello {NUMBER}"), ("warning", f"careful {NUMBER}"),
    ]  # fmt: skip
    assert ours[0]["pid"] > 0


def test_what_is_below_the_level_is_left_out(
    loaded: Callable[[str], Loaded], capsys: pytest.CaptureFixture[str]
) -> None:
    thread = run_soon(loaded("to_trace"), "to_trace", bytes(64))
    assert main(["log", "--duration", "0.8", "--level", "warning"]) == 0
    thread.join()
    out = capsys.readouterr().out
    assert f"careful {NUMBER}" in out
    assert f"hello {NUMBER}" not in out


@pytest.mark.requires("program streams")
def test_the_output_of_one_program_is_shown(
    loaded: Callable[[str], Loaded], capsys: pytest.CaptureFixture[str]
) -> None:
    made = loaded("to_streams")
    thread = run_soon(made, "to_streams", b"")
    number = kernel.program_info(made.programs["to_streams"]).id
    assert main(["log", str(number), "--duration", "0.8", "--json"]) == 0
    thread.join()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(each["source"], each["message"]) for each in told} == {
        ("stdout", f"hello {NUMBER}"), ("stderr", f"wrong {NUMBER}"),
    }  # fmt: skip
