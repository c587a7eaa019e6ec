"""The ring drain against the running kernel: no wake-up is missed, no record lost."""

from __future__ import annotations

import errno
import mmap
import select
import struct
import threading

import pytest

from aiobpf import asm
from aiobpf._native import ffi, lib
from aiobpf.errors import KernelError
from aiobpf.kernel import create_map, load_program
from aiobpf.kernel import test_run as run_program
from aiobpf.uapi import MapType, ProgramType

pytestmark = pytest.mark.root

SIZE = 4096
PRODUCERS, ROUNDS, BURST = 2, 400, 20


@pytest.mark.parametrize("is_fixed", [True, False])
def test_an_edge_triggered_consumer_never_waits_for_what_is_there(is_fixed: bool) -> None:
    """Edge-triggered epoll hides nothing: one commit without its wake-up, and the consumer would sleep for good."""
    page = mmap.PAGESIZE
    with create_map(MapType.RINGBUF, 0, 0, SIZE) as ring:
        code = asm.Instructions(
            [
                asm.st(8, asm.R10, -16, 1),
                asm.st(8, asm.R10, -8, 2),
                asm.load_map_ptr(asm.R1, "ring", ring.fileno()),
                asm.mov(asm.R2, asm.R10),
                asm.add(asm.R2, -16),
                asm.mov(asm.R3, 16),
                asm.mov(asm.R4, 0),
                asm.call_helper(130),  # bpf_ringbuf_output, with the adaptive wake-up
                asm.exit_(),
            ]
        ).encode()
        written = 0
        lock = threading.Lock()

        with load_program(ProgramType.SOCKET_FILTER, code) as program:

            def produce() -> None:
                nonlocal written
                for _ in range(ROUNDS):
                    try:
                        run_program(program, bytes(14), repeat=BURST)
                    except KernelError as error:
                        if error.errno != errno.EINTR:  # else some were written
                            raise
                with lock:
                    written += 1

            consumer = mmap.mmap(ring.fileno(), page)
            producer = mmap.mmap(ring.fileno(), page + 2 * SIZE, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
            head, body = ffi.from_buffer(consumer), ffi.from_buffer(producer)
            out = bytearray(1 << 16)
            room = ffi.from_buffer(out)
            offsets, lengths = ffi.new("uint32_t[]", 64), ffi.new("uint32_t[]", 64)
            drained = ffi.new("struct ring_drained *")
            threads = [threading.Thread(target=produce) for _ in range(PRODUCERS)]
            got = 0
            with select.epoll() as epoll:
                epoll.register(ring.fileno(), select.EPOLLIN | select.EPOLLET)
                for thread in threads:
                    thread.start()
                while True:
                    ready = epoll.poll(0.2)
                    if not ready:
                        if written < PRODUCERS:
                            continue
                        if not lib.ring_backlog(head, body):
                            break
                        assert epoll.poll(1), "a wake-up was missed"  # committed since that poll ended
                    while True:
                        if is_fixed:
                            error = lib.ring_drain_fixed(head, body, page, SIZE, 16, room, len(out), 64, drained)
                        else:
                            error = lib.ring_drain(
                                head, body, page, SIZE, room, len(out), offsets, lengths, 64, drained
                            )
                        assert error == 0
                        got += drained.records
                        assert out[: drained.records * 16] == struct.pack("=QQ", 1, 2) * drained.records
                        if not drained.more:
                            break
                for thread in threads:
                    thread.join()
            (position,) = struct.unpack_from("=Q", producer, 0)
            assert position == struct.unpack_from("=Q", consumer, 0)[0]
            assert got == position // 24
            assert got >= SIZE // 24, "a full ring at least"
            ffi.release(head)
            ffi.release(body)
            consumer.close()
            producer.close()
