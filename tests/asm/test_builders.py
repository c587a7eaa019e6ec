"""Builders refuse what the instruction set has no room for."""

from __future__ import annotations

import pytest

from aiobpf import asm
from aiobpf.errors import AsmError


def test_an_int_is_an_immediate_and_a_register_a_register() -> None:
    assert str(asm.add(asm.R1, 2)) == "r1 += 2"
    assert str(asm.add(asm.R1, asm.R2)) == "r1 += r2"


def test_immediates_are_taken_in_either_sign() -> None:
    assert asm.mov32(asm.R0, 0xFFFF_FFFF) == asm.mov32(asm.R0, -1)
    assert asm.ld_imm64(asm.R0, -1).constant == 2**64 - 1


@pytest.mark.parametrize(
    "build",
    [
        lambda: asm.mov(asm.R0, 1 << 32),
        lambda: asm.mov(asm.R0, -(1 << 31) - 1),
        lambda: asm.ld_imm64(asm.R0, 1 << 64),
        lambda: asm.ld_imm64(asm.R0, -(1 << 63) - 1),
        lambda: asm.ja(0x8000),
        lambda: asm.ldx(asm.W, asm.R0, asm.R1, -0x8001),
        lambda: asm.ldx(3, asm.R0, asm.R1),
        lambda: asm.ldxsx(asm.DW, asm.R0, asm.R1),
        lambda: asm.atomic_add(asm.B, asm.R0, asm.R1),
        lambda: asm.ld_abs(asm.DW, 0),
        lambda: asm.movsx(asm.R0, asm.R1, 64),
        lambda: asm.movsx32(asm.R0, asm.R1, 32),
        lambda: asm.bswap(asm.R0, 8),
        lambda: asm.load_map_value(asm.R0, "m", -1),
        lambda: asm.call_helper("no_such_helper"),
        lambda: asm.Instruction(256),
        lambda: asm.Instruction(0, 16),
        lambda: asm.Instruction(0, 0, -1),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(build: object) -> None:
    with pytest.raises(AsmError, match=r"fit|takes|byte|no helper"):
        build()  # type: ignore[operator]


def test_helpers_are_known_by_number_and_by_name() -> None:
    assert asm.Helper(130) is asm.Helper.RINGBUF_OUTPUT
    assert asm.helper_name(1) == "bpf_map_lookup_elem"
    assert asm.helper_name(211) == "bpf_cgrp_storage_delete"
    assert asm.helper_name(9999) == "helper#9999"
    assert len(asm.Helper) == 211
    assert (
        asm.call_helper("ktime_get_ns")
        == asm.call_helper("bpf_ktime_get_ns")
        == asm.call_helper(5)
        == asm.call_helper(asm.Helper.KTIME_GET_NS)
    )
    assert str(asm.call_helper(5)) == "call bpf_ktime_get_ns#5"
    assert str(asm.call_helper(9999)) == "call helper#9999"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        asm.no_such_name
