"""What programs do to the process that runs them, seen from it."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from pathlib import Path

import pytest

import aiobpf

OBJECT = Path(__file__).parent.parent / "objects" / "effects.bpf.o"

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.mark.shows("probe_read_kernel")
async def test_a_program_reads_the_kernels_structs_where_this_kernel_has_them() -> None:
    async with aiobpf.load(OBJECT, programs=["read_kernel"]) as coll:
        coll.programs["read_kernel"].run_sync()
        assert coll.variables["tgid"].value == os.getpid()
        assert coll.variables["parent_tgid"].value == os.getppid()


@pytest.mark.shows("probe_read_user_str")
async def test_a_program_reads_text_of_its_process() -> None:
    text = ctypes.create_string_buffer(b"/etc/hostname of this machine")
    async with aiobpf.load(OBJECT, programs=["read_user"]) as coll:
        coll.programs["read_user"].run_sync(context=struct.pack("=Q", ctypes.addressof(text)))
        assert coll.variables["text"].value == "/etc/hostname o"
        assert coll.variables["text_length"].value == 16


@pytest.mark.shows("probe_write_user")
@pytest.mark.requires("writes to user memory")
async def test_a_program_writes_to_memory_of_its_process() -> None:
    place = ctypes.c_uint32(0)
    async with aiobpf.load(OBJECT, programs=["write_user"]) as coll:
        coll.programs["write_user"].run_sync(context=struct.pack("=Q", ctypes.addressof(place)))
        assert coll.variables["written"].value == 0
    assert place.value == 4711


@pytest.mark.shows("send_signal")
async def test_a_program_sends_a_signal_to_its_process() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: seen.append(number))
    try:
        async with aiobpf.load(OBJECT, programs=["signal"]) as coll:
            coll.programs["signal"].run_sync(context=struct.pack("=Q", signal.SIGUSR1))
            assert coll.variables["signalled"].value == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


@pytest.mark.shows("exceptions")
@pytest.mark.requires("exceptions")
async def test_a_program_that_throws_ends_with_what_it_threw() -> None:
    async with aiobpf.load(OBJECT, programs=["throw_it"]) as coll:
        assert coll.programs["throw_it"].run_sync(bytes(64)).retval == 42


@pytest.mark.shows("kfunc_iter_num")
@pytest.mark.requires("open-coded iterators")
async def test_a_program_loops_by_an_iterator_of_its_own() -> None:
    async with aiobpf.load(OBJECT, programs=["count_rounds"]) as coll:
        assert coll.programs["count_rounds"].run_sync(bytes(64)).retval == 1000
