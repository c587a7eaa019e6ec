"""Values in which the kernel itself has a part, found by their BTF: timers and spin locks; and the kernel's symbols."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

import aiobpf
from aiobpf.kernel.kallsyms import Kallsyms, symbol_address
from aiobpf.runtime import LoadContext, LoadOptions

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.mark.requires("timers")
@pytest.mark.shows("timer")
async def test_a_timer_in_a_map_rings() -> None:
    async with aiobpf.load(OBJECTS / "kernel_values.bpf.o", programs=["set_alarm"]) as coll:
        assert coll.maps["alarms"][0].rung == 0
        assert (await coll.programs["set_alarm"].run(PACKET)).retval == 0
        with anyio.fail_after(5):
            while coll.maps["alarms"][0].rung == 0:  # noqa: ASYNC110 - a timer sets no event
                await anyio.sleep(0.001)
        assert coll.maps["alarms"][0].rung == 1


@pytest.mark.requires("work queues")
@pytest.mark.shows("wq")
async def test_work_queued_in_a_map_is_done_later() -> None:
    async with aiobpf.load(OBJECTS / "work.bpf.o") as coll:
        assert (await coll.programs["give_work"].run(PACKET)).retval == 0
        with anyio.fail_after(5):
            while coll.maps["jobs"][0].done == 0:  # noqa: ASYNC110 - a work queue sets no event
                await anyio.sleep(0.001)
        assert coll.maps["jobs"][0].done == 1


@pytest.mark.shows("spin_lock")
async def test_a_value_is_read_and_written_under_its_spin_lock() -> None:
    async with aiobpf.load(OBJECTS / "kernel_values.bpf.o", programs=["count_twice"]) as coll:
        pairs = coll.maps["pairs"]
        pairs.update(7, {"first": 1, "second": 10})
        assert (await coll.programs["count_twice"].run(PACKET, repeat=5)).retval == 0
        seen = pairs.get(7, None, flags=aiobpf.UpdateFlags.LOCK)
        assert seen is not None
        assert (seen.first, seen.second) == (6, 15)
        assert seen.lock.val == 0, "the kernel shows no lock"
        pairs.update(7, {"first": 2, "second": 3}, aiobpf.UpdateFlags.LOCK)
        assert (pairs[7].first, pairs[7].second) == (2, 3)
        async for keys, values in pairs.batches(flags=aiobpf.UpdateFlags.LOCK):
            assert (keys, [each.second for each in values]) == ([7], [3])
        assert pairs.pop(7, flags=aiobpf.UpdateFlags.LOCK).first == 2


async def test_addresses_of_kernel_symbols_are_put_in() -> None:
    async with aiobpf.load(OBJECTS / "kernel_values.bpf.o", programs=["take_addresses"]) as coll:
        coll.variables["addresses"].value = [1, 1]
        await coll.programs["take_addresses"].run(PACKET)
        assert coll.variables["addresses"].value == [symbol_address("schedule"), 0]


def hide_addresses(monkeypatch: pytest.MonkeyPatch, symbols: bytes) -> list[None]:
    """kptr_restrict, or a caller without CAP_SYSLOG; what is returned counts the reads."""
    reads: list[None] = []

    def read(_: object = None) -> Kallsyms:
        reads.append(None)
        return Kallsyms(symbols)

    monkeypatch.setattr(Kallsyms, "read", read)
    return reads


async def test_hidden_addresses_fail_only_a_load_that_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = hide_addresses(monkeypatch, b"0000000000000000 T schedule\n0000000000000000 T vfs_read\n")
    with pytest.raises(aiobpf.BpfError, match=r"schedule.*CAP_SYSLOG"):
        await aiobpf.Collection.load(OBJECTS / "kernel_values.bpf.o", programs=["take_addresses"])
    assert len(reads) == 1
    with LoadContext(LoadOptions(), None) as context:
        assert context.kallsyms_address("schedule", is_weak=True) is None, "as if it were missing"
        with pytest.raises(aiobpf.BpfError, match="CAP_SYSLOG"):
            context.kallsyms_address("schedule")
    assert len(reads) == 2


async def test_a_symbol_that_the_kernel_has_twice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_addresses(monkeypatch, b"ffffffff81000100 t schedule\nffffffff81000200 t schedule\n")
    with pytest.raises(aiobpf.BpfError, match="2 symbols 'schedule'"):
        await aiobpf.Collection.load(OBJECTS / "kernel_values.bpf.o", programs=["take_addresses"])


@pytest.mark.requires("task kfuncs")
async def test_symbols_are_read_only_for_a_program_that_takes_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = hide_addresses(monkeypatch, b"")
    async with aiobpf.load(OBJECTS / "externs.bpf.o", programs=["functions"]):
        assert not reads


@pytest.mark.requires("kernel variables")
async def test_a_kernel_variable_is_read_by_its_type() -> None:
    async with aiobpf.load(OBJECTS / "externs.bpf.o", programs=["symbols"]) as coll, coll.attach():
        coll.variables["seen"].value = [1 << 40, 0, 0, 0, 0, 0]
        for _ in range(50):
            os.getppid()
        queued, schedule, *_ = coll.variables["seen"].value
    assert schedule
    assert queued < 1 << 20, "as many tasks as wait for the first CPU"
