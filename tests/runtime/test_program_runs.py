"""Programs run on packets and contexts of the test's own: what they return and leave behind."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

import aiobpf

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

OBJECT = Path(__file__).parents[1] / "objects" / "sockets.bpf.o"
SK_BUFF_BYTES = 192
MARK, CB = 8, 48  # in struct __sk_buff
SK_PASS = 1


@pytest.mark.shows("run_skb")
async def test_a_packet_and_its_context_come_back_as_the_program_left_them() -> None:
    context = bytearray(SK_BUFF_BYTES)
    struct.pack_into("=I", context, MARK, 4)
    async with aiobpf.load(OBJECT, programs=["mark"]) as coll:
        done = await coll.programs["mark"].run(bytes(64), context=bytes(context))
        assert (done.retval, done.data) == (5, bytes(64))
        assert struct.unpack_from("=I", done.context, MARK) == (9,)
        assert struct.unpack_from("=I", done.context, CB) == (5,)


@pytest.mark.shows("run_flow")
async def test_a_flow_dissector_answers_with_the_keys_of_the_flow() -> None:
    ethernet = bytes(12) + b"\x08\x00"
    async with aiobpf.load(OBJECT, programs=["dissect"]) as coll:
        done = await coll.programs["dissect"].run(ethernet + bytes(50))
        header_offset, ip_protocol = struct.unpack_from("=H7xB", done.data)
        assert (header_offset, ip_protocol) == (len(ethernet), 42)
        assert done.retval in {0, 1}  # what the program returned, BPF_OK; on 5.10 whether that is what it returned


@pytest.mark.shows("run_sk_lookup")
async def test_a_lookup_is_asked_for_a_connection_that_is_made_up() -> None:
    sk_lookup = struct.Struct("=QII4s16sHxx4s16sII4x")
    nobody, port = bytes(16), 7777
    context = sk_lookup.pack(0, socket.AF_INET, socket.IPPROTO_TCP, bytes(4), nobody, 0, bytes(4), nobody, port, 0)
    async with aiobpf.load(OBJECT, programs=["steer"]) as coll:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            coll.variables["steered_port"].value = port
            coll.maps["socks"][0] = listener
            done = await coll.programs["steer"].run(context=context)
            assert done.retval == SK_PASS
            assert coll.variables["seen"].value == 1
