"""The tag that the kernel gives a program: a digest of its instructions, without what differs from load to load."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Literal

from aiobpf.asm.opcodes import LD_IMM64, Pseudo
from aiobpf.asm.wire import swapped

if TYPE_CHECKING:
    from aiobpf.asm.wire import ByteOrder

_IS_WIDE = bytes(opcode == LD_IMM64 for opcode in range(256))


def program_tag(code: bytes, sha: Literal["sha1", "sha256"], byte_order: ByteOrder) -> bytes:
    """The tag of canonical *code* as a machine of *byte_order* computes it: 8 bytes, shown as 16 hex digits.

    It is the start of the digest: `program_digest`.
    """
    return program_digest(code, sha, byte_order)[:8]


def program_digest(code: bytes, sha: Literal["sha1", "sha256"], byte_order: ByteOrder) -> bytes:
    """The whole digest, of which the kernel compares all in a map for one program alone (excl_prog_hash, 6.18).

    The digest is over the instructions as they are given to BPF_PROG_LOAD, both halves of the immediate zeroed where a
    map or a map value is loaded by fd; an fd_array index is part of it. SHA-1 up to Linux 6.17, SHA-256 since 6.18.
    Source: bpf_prog_calc_tag in kernel/bpf/core.c.
    """
    import hashlib

    plain = bytearray(code)
    for slot in compress(range(len(code) // 8), plain[::8].translate(_IS_WIDE)):
        at = slot * 8
        if plain[at + 1] >> 4 in {Pseudo.MAP_FD, Pseudo.MAP_VALUE}:
            plain[at + 4 : at + 8] = plain[at + 12 : at + 16] = bytes(4)
    if byte_order == "big":
        plain = swapped(plain)
    return hashlib.new(sha, plain, usedforsecurity=False).digest()
