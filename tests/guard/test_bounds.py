"""What needs neither valgrind nor strace is within its bounds; and the guard tells a change for the worse."""

from __future__ import annotations

import json
import math
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.guard import __main__ as guard
from tests.guard import bounds, instructions, system_calls, table
from tests.guard.bounds import YARDSTICK, Judged, judge
from tests.guard.measured import REPOSITORY, MeasuringError, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guard.measured import Numbers

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind")

BOUNDS: bounds.Bounds = {"3.11.7": {"turns": {"a": 10, "b": 2}, "instructions": {YARDSTICK: 100, "a": 10, "C: b": 10}}}


def breaches(part: str, measured: Numbers) -> list[str]:
    recorded = bounds.read()
    # A change for the worse that is made on purpose is larger than what Pythons differ by.
    python = bounds.chosen(part, measured, recorded, bounds.PYTHON)
    python = python if python in recorded else max(recorded)
    return [each.name for each in judge(part, measured, recorded, python, is_complete=False) if each.is_breach]


@pytest.mark.requires("loops")
@pytest.mark.parametrize("part", ["imports", "turns", "allocations"])
def test_what_can_be_counted_anywhere_is_within_its_bounds(part: str) -> None:
    judged = list(judge(part, guard.PARTS[part](), bounds.read()))
    broken = [each for each in judged if each.is_breach]
    assert not broken, "\n".join(table.lines(broken)) + f"\nTo see why: {guard.WHY[part]}"


# --- what a bound is --------------------------------------------------------------------------------------------------


def test_more_than_the_bound_is_a_breach_and_as_much_is_not() -> None:
    assert [each.is_breach for each in judge("turns", {"a": 10, "b": 3}, BOUNDS, "3.11.7")] == [False, True]


def test_what_has_no_bound_is_told_and_not_judged() -> None:
    assert Judged("turns", "new", 7, None) in judge("turns", {"new": 7, "a": 1, "b": 1}, BOUNDS, "3.11.7")
    assert not any(each.is_breach for each in judge("turns", {"a": 99}, BOUNDS, "3.99.0"))


def test_a_bound_whose_number_is_gone_is_a_breach() -> None:
    missing = [each for each in judge("turns", {"a": 1}, BOUNDS, "3.11.7") if each.is_breach]
    assert missing == [Judged("turns", "b", math.inf, 2)]
    assert not any(each.is_breach for each in judge("turns", {"a": 1}, BOUNDS, "3.11.7", is_complete=False))


def test_bounds_of_instructions_move_with_the_yardstick_but_not_those_of_c_and_not_down() -> None:
    measured = {YARDSTICK: 120.0, "a": 12.5, "C: b": 11}
    judged = {each.name: each for each in judge("instructions", measured, BOUNDS, "3.11.7")}
    assert (judged["a"].bound, judged["a"].is_breach) == (12, True)
    assert (judged["C: b"].bound, judged["C: b"].is_breach) == (10, True)
    assert judged[YARDSTICK].bound is None
    judged = {each.name: each for each in judge("instructions", {**measured, YARDSTICK: 80}, BOUNDS, "3.11.7")}
    assert judged["a"].bound == 10


def test_another_release_of_a_minor_version_has_the_bounds_of_the_one_with_the_nearest_yardstick() -> None:
    recorded = {
        "3.11.2": {"instructions": {YARDSTICK: 80.0, "a": 8.0}},
        "3.11.7": {"instructions": {YARDSTICK: 100.0, "a": 10.0}},
    }

    def bound(yardstick: float, python: str) -> float | None:
        judged = judge("instructions", {YARDSTICK: yardstick, "a": 1}, recorded, python)
        return next(each.bound for each in judged if each.name == "a")

    assert bound(80, "3.11.14") == 8
    assert bound(99, "3.11.14") == 10
    assert bound(80, "3.11.7") == 10
    assert bound(80, "3.12.2") is None


def test_what_became_far_better_asks_to_be_recorded() -> None:
    (a, _) = judge("turns", {"a": 3, "b": 2}, BOUNDS, "3.11.7")
    assert a.is_far_below
    assert "record" in "\n".join(table.lines([a]))


def test_what_is_recorded_is_within_its_own_bounds_and_leaves_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "bounds.toml"
    measured = {"a": 1234567.8, "b": 0, "c: files opened": 101, "d": 0.333}
    for part in bounds.MARGINS:
        bounds.record(part, measured, file, "3.12.1")
    bounds.record("turns", {"a": 1}, file, "3.11.7")
    found = bounds.read(file)
    assert found["3.12.1"]["turns"] == {**measured, "c: files opened": 106}
    assert found["3.12.1"]["instructions"] == {"a": 1_340_000, "b": 0, "c: files opened": 106, "d": 0.36}
    assert found["3.11.7"] == {"turns": {"a": 1}}
    for part in bounds.MARGINS:
        assert not any(each.is_breach for each in judge(part, measured, found, "3.12.1"))


def test_the_document_has_the_bounds_that_are_recorded() -> None:
    text = table.DOCUMENT.read_text()
    python = text.partition("With Python ")[2].partition(":")[0]
    for names in bounds.read()[python].values():
        for name, bound in names.items():
            assert name == YARDSTICK or f"| {name} | {bounds.number(bound)} |" in text


def test_a_breach_says_what_was_counted_the_bound_and_how_to_see_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bounds, "read", lambda: {bounds.PYTHON: {"imports": {"a": 10}}})
    monkeypatch.setitem(guard.PARTS, "imports", lambda: {"a": 12})
    assert guard.main(["imports"]) == 1
    printed = capsys.readouterr()
    assert "TOO MANY" in printed.out
    assert "imports, a: 12, and at most 10 are allowed" in printed.err
    assert "importtime" in printed.err


def test_what_cannot_be_counted_fails_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert guard.main(["instructions"]) == 1
    assert "no valgrind" in capsys.readouterr().err
    with pytest.raises(MeasuringError, match="no strace"):
        system_calls.measure()


# --- changes for the worse, made on purpose ---------------------------------------------------------------------------


@pytest.mark.requires("loops")
@pytest.mark.parametrize(
    ("regression", "part", "breach"),
    [
        ("a_turn_a_batch", "turns", "turns of the loop for 4096 events: batches to numpy"),
        ("a_job_more_a_load", "turns", "worker jobs: a load"),
        ("a_block_a_batch", "allocations", "blocks kept for each 4096 events: batches to numpy"),
    ],
)
def test_a_change_for_the_worse_breaks_a_bound(regression: str, part: str, breach: str) -> None:
    printed = run("tests.guard.regressions", regression, f"tests.guard.{part}")
    assert breach in breaches(part, json.loads(printed.splitlines()[-1]))


@needs_strace
@pytest.mark.requires("loops")
@pytest.mark.parametrize(
    ("regression", "breach"),
    [
        ("a_system_call_a_drain", "4096 events at saturation, batches to numpy, asyncio: all calls"),
        ("a_probe_a_load", "second load of 10 programs: other bpf(2)"),
    ],
)
def test_a_system_call_more_breaks_a_bound(regression: str, breach: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    run("tests.guard.regressions", regression, "tests.guard.traced", "asyncio", tool=system_calls.tool(trace))
    with trace.open() as lines:
        assert breach in breaches("system calls", system_calls.numbers_of(system_calls.parts(lines)))


@needs_valgrind
def test_a_record_decoded_twice_breaks_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "FOLDER", tmp_path / "callgrind")
    tool = [*instructions.callgrind(), f"--callgrind-out-file={instructions.FOLDER}/work"]
    name = "a record of 64 bytes decoded to an object"
    run("tests.guard.regressions", "a_record_decoded_twice", "tests.guard.scenarios", "work", "", name, tool=tool)
    found = instructions.differences()
    assert list(found) == [name]
    assert breaches("instructions", found) == [name]


def test_ci_installs_what_the_guard_needs_and_runs_it() -> None:
    text = (REPOSITORY / ".ci" / "run").read_text()
    packages = next(line for line in text.splitlines() if "packages=(gcc" in line)
    assert {"valgrind", "strace"} <= set(packages.replace(")", " ").split())
    assert "nox -s guard" in text
