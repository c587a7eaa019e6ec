"""The aiobpf side of every benchmark answers, and rightly; the sizes are tiny, and no other language is needed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import pytest
from attrs import evolve

import aiobpf
from benchmarks.cases.case import AIOBPF, BCC, LIBBPF, UVLOOP, CaseError, Entrant, checked
from benchmarks.cases.imports import PLAIN, USED
from benchmarks.cases.live import NOTED, RATES, LiveCase, live_key, mask_for
from benchmarks.cases.maps import LISTS
from benchmarks.cases.rings import EVENTS, LEASE, NUMPY, RECORDS
from benchmarks.cases.starts import IMPORTS, RUN, Tool, start
from benchmarks.found_objects import OWN
from benchmarks.peers.build import bcc
from benchmarks.producer import NobodyReadsError, Producer
from benchmarks.production import Produced, produce
from benchmarks.run import PRODUCER, Run, choose_cpus, own_programs
from benchmarks.side import Program, Side, SideError
from benchmarks.sizes import QUICK
from benchmarks.workload import RingFullError, Workload, workload_spec

if TYPE_CHECKING:
    from benchmarks.samples import Result

TINY = evolve(
    QUICK,
    rounds=1,
    records_64=200,
    records_512=50,
    flood_64=3000,
    flood_512=500,
    live_s=0.01,
    wake_ups=5,
    lookups=100,
    bulk_entries=300,
    scan_entries=500,
    objects=1,
    loads=1,
)

MONITOR = OWN / "exec_monitor.bpf.o"


def run(*only: str, programs: list[Program] | None = None) -> dict[str, Result]:
    """The results of the cases that begin so, of aiobpf alone."""

    async def measure() -> dict[str, Result]:
        async with aiobpf.load(workload_spec(TINY.scan_entries)) as collection:
            sides = own_programs() if programs is None else programs
            made = Run(sides, Workload(collection), TINY, choose_cpus())
            return {result.key: result for result in made.run(only)}

    return anyio.run(measure)


WAYS = (LEASE, NUMPY, RECORDS, EVENTS)


def assert_measured(result: Result, *entrants: str) -> None:
    assert not result.failures
    assert set(result.samples) == set(entrants)
    for entrant in entrants:
        (sample,) = result.good(entrant)
        assert sample.ns > 0


@pytest.mark.root
def test_rings_maps_and_wake_ups() -> None:
    results = run("ring", "wake", "lookup", "update", "bulk", "scan")
    for size in (64, 512):
        assert_measured(results[f"ring-{size}"], *WAYS)
    assert_measured(results["wake"], AIOBPF, UVLOOP)
    assert_measured(results["lookup"], AIOBPF)
    assert_measured(results["update"], AIOBPF)
    assert_measured(results["bulk-lookup"], AIOBPF, LISTS)
    assert_measured(results["bulk-update"], AIOBPF)
    assert_measured(results["bulk-delete"], AIOBPF)
    assert_measured(results["scan"], AIOBPF)


@pytest.mark.root
def test_rings_that_are_filled_while_they_are_read() -> None:
    results = run("live-")
    assert set(results) == {live_key(rate, size) for rate in (None, *RATES) for size in (64, 512)}
    for result in results.values():
        assert_measured(result, *WAYS, f"{NUMPY}, max_delay=0", f"{NUMPY}, uvloop", f"{EVENTS}, uvloop")
        for entrant in result.samples:
            (sample,) = result.good(entrant)
            assert 0 < sample.more["p50_ns"] <= sample.more["p99_ns"]
            assert sample.more["rate"] > 0


@pytest.mark.root
def test_a_full_ring_ends_a_run_or_loses_what_comes_and_says_so() -> None:
    async def fill() -> None:
        async with aiobpf.load(workload_spec(16)) as collection:
            workload = Workload(collection)
            program = collection.programs["produce_64"]
            filled = produce(program, 10, 300_000)
            assert filled.lost == 1
            assert filled.sum == sum(range(10, 10 + filled.submitted))
            assert produce(program, 0, 1000, is_lossy=True) == Produced(0, 1000, 0)
            workload.discard_left()
            assert produce(program, 7, 1000, is_lossy=True) == Produced(1000, 0, sum(range(7, 1007)))

    anyio.run(fill)


@pytest.mark.root
def test_a_flood_waits_for_a_slow_reader_and_loses_nothing() -> None:
    async def flood() -> None:
        async with aiobpf.load(workload_spec(16)) as collection:
            workload = Workload(collection)
            cpus = choose_cpus()
            count = 600_000  # more than twice what the ring holds, and ten times faster made than read
            with (
                Side(bcc(), cpus[0], workload.fds) as side,
                Side(PRODUCER, cpus[1], workload.producer_fds) as producer,
            ):
                sample = LiveCase(producer, 64, None, count, rounds=1).sample(side, Entrant(BCC, BCC), workload)
            assert (sample.more["submitted"], sample.more["lost"]) == (count, 0)
            assert sample.more["waits"] > 0

    anyio.run(flood)


@pytest.mark.root
def test_a_ring_that_nobody_reads_ends_the_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.producer.PATIENCE_NS", 1_000_000)

    async def flood() -> None:
        async with aiobpf.load(workload_spec(16)) as collection:
            made = Producer(collection.programs["produce_64"].fileno())
            with pytest.raises(NobodyReadsError):
                made.flood(0, 300_000)
            assert made.waits > 0
            made.close()

    anyio.run(flood)


@pytest.mark.parametrize(("count", "mask"), [(1, 0), (8192, 0), (16383, 0), (16384, 1), (1_000_000, 63)])
def test_latencies_are_noted_of_enough_records_and_not_of_all(count: int, mask: int) -> None:
    assert mask_for(count) == mask
    assert count // (mask + 1) >= min(count, NOTED)


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
def test_objects_of_a_known_size(monkeypatch: pytest.MonkeyPatch) -> None:
    results = run("sized-")
    assert len(results) == 5
    for result in results.values():
        assert_measured(result, AIOBPF)
    monkeypatch.setattr("benchmarks.growth.sources.CLANGS", ())
    assert not run("sized-")


@pytest.mark.root
def test_tools_from_exec_to_attached() -> None:
    result = run("start")["start"]
    assert not result.failures
    (attached,), (imported,) = result.good(RUN), result.good(IMPORTS)
    assert attached.ns > imported.ns
    assert attached.cpu_ns > 0
    assert attached.more["imports_ns"] > imported.more["imports_ns"]


def test_a_tool_that_ends_before_it_is_ready_is_no_result() -> None:
    with pytest.raises(CaseError, match="did not get ready; it said: no such thing"):
        start(Tool((sys.executable, "-c", "print('no such thing')"), b"ready"), choose_cpus()[0])


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
