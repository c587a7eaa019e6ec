"""The aiobpf side of every benchmark answers, and rightly; the sizes are tiny, and no other language is needed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import pytest
from attrs import evolve

import aiobpf
from benchmarks.cases.case import AIOBPF, LIBBPF, UVLOOP, CaseError, checked
from benchmarks.cases.imports import PLAIN, USED
from benchmarks.cases.rings import EVENTS, NUMPY, RECORDS
from benchmarks.found_objects import OWN
from benchmarks.run import Run, choose_cpus, own_programs
from benchmarks.side import Program, Side, SideError
from benchmarks.sizes import QUICK
from benchmarks.workload import RingFullError, Workload, workload_spec

if TYPE_CHECKING:
    from benchmarks.samples import Result

TINY = evolve(
    QUICK, rounds=1, records_64=200, records_512=50, wake_ups=5, lookups=100, scan_entries=500, objects=1, loads=1
)

MONITOR = OWN / "exec_monitor.bpf.o"


def run(*only: str, programs: list[Program] | None = None) -> dict[str, Result]:
    """The results of the cases that begin so, of aiobpf alone."""

    async def measure() -> dict[str, Result]:
        async with aiobpf.load(workload_spec(TINY.scan_entries)) as collection:
            sides = own_programs() if programs is None else programs
            made = Run(sides, Workload(collection), TINY, choose_cpus()[0])
            return {result.key: result for result in made.run(only)}

    return anyio.run(measure)


def assert_measured(result: Result, *entrants: str) -> None:
    assert not result.failures
    assert set(result.samples) == set(entrants)
    for entrant in entrants:
        (sample,) = result.good(entrant)
        assert sample.ns > 0


@pytest.mark.root
def test_rings_maps_and_wake_ups() -> None:
    results = run("ring", "wake", "lookup", "scan")
    assert_measured(results["ring-64"], NUMPY, RECORDS, EVENTS)
    assert_measured(results["ring-512"], NUMPY, RECORDS, EVENTS)
    assert_measured(results["wake"], AIOBPF, UVLOOP)
    assert_measured(results["lookup"], AIOBPF)
    assert_measured(results["scan"], AIOBPF)


@pytest.mark.root
def test_types_and_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.run.find_objects", lambda: {"exec_monitor": MONITOR})
    results = run("btf", "open/", "load/", "footprint/")
    assert_measured(results["btf-first"], AIOBPF)
    assert_measured(results["btf-again"], AIOBPF)
    for group in ("open/", "load/", "footprint/"):
        (found,) = [result for key, result in results.items() if key.startswith(group)]
        assert_measured(found, AIOBPF)


@pytest.mark.root
def test_imports() -> None:
    result = run("import")["import"]
    assert_measured(result, *result.samples)
    assert {PLAIN, USED} < set(result.samples)


@pytest.mark.root
def test_a_side_that_cannot_is_named_and_the_others_go_on() -> None:
    impostor = 'import sys; print(\'{"version": "0", "compiler": "none"}\', flush=True); sys.stdin.readline()'
    broken = Program(LIBBPF, (sys.executable, "-c", impostor))
    result = run("ring-64", programs=[own_programs()[0], broken])["ring-64"]
    assert "has ended" in result.failures[LIBBPF]
    assert result.good(NUMPY)
    assert not result.good(LIBBPF)


def test_a_wrong_sum_is_no_result() -> None:
    with pytest.raises(CaseError, match="answers 3 where 4 is right"):
        checked({"ns": 1, "count": 1, "sum": 3}, 4)


def test_a_refusal_and_an_error_are_no_results() -> None:
    with pytest.raises(CaseError, match="does not do this"):
        checked({"unsupported": True})
    with pytest.raises(CaseError, match="no such map"):
        checked({"error": "no such map\nand more"})


def test_a_side_that_does_not_start_is_an_error() -> None:
    with pytest.raises(SideError, match="nothing has ended: status 3"):
        Side(Program("nothing", (sys.executable, "-c", "raise SystemExit(3)")), choose_cpus()[0])


@pytest.mark.root
def test_a_ring_that_is_too_small_is_an_error_of_the_harness() -> None:
    async def overfill() -> None:
        async with aiobpf.load(workload_spec(16)) as collection:
            workload = Workload(collection)
            with pytest.raises(RingFullError, match="of 300000 records of 64 bytes"):
                workload.submit(64, 300_000)
            workload.discard_left()
            assert workload.submit(64, 2) > 0

    anyio.run(overfill)
