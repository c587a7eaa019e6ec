"""The tag that the kernel computes."""

from __future__ import annotations

from aiobpf import asm
from aiobpf.asm import Instructions


def program(fd: int) -> Instructions:
    return Instructions(
        [
            asm.load_map_value(asm.R1, "x", 0, fd),
            asm.load_map_ptr(asm.R2, "x", fd),
            asm.call_function("f"),
            asm.jeq(asm.R0, 3, "end"),
            asm.mov(asm.R0, 1),
            asm.exit_().with_label("end"),
            asm.mov(asm.R0, 0).with_symbol("f"),
            asm.exit_(),
        ]
    )


def test_the_tag_is_the_kernels_and_does_not_depend_on_the_fd() -> None:
    for fd in (3, 77):
        assert program(fd).tag("sha256").hex() == "614ae801da0e02eb"  # what Linux 6.18 said of this program
        assert program(fd).tag() == program(fd).tag("sha1")
        assert program(fd).tag("sha1").hex() == "7a0013fcb1c3b90a"


def test_the_offset_into_a_map_value_is_zeroed_with_the_fd() -> None:
    first = Instructions([asm.load_map_value(asm.R1, "x", 0, 3)])
    assert first.tag() == Instructions([asm.load_map_value(asm.R1, "x", 8, 3)]).tag()


def test_other_immediates_are_part_of_the_tag() -> None:
    tags = {
        Instructions([instruction]).tag("sha256")
        for instruction in (
            asm.ld_imm64(asm.R1, 1),
            asm.ld_imm64(asm.R1, 1 << 32),
            asm.load_map_index(asm.R1, 1),
            asm.load_map_index(asm.R1, 2),
            asm.load_btf_id(asm.R1, 1),
            asm.mov(asm.R1, 1),
        )
    }
    assert len(tags) == 6


def test_a_machine_of_the_other_order_has_another_tag() -> None:
    big = program(3).tag("sha1", "big")
    assert big != program(3).tag("sha1")
    assert len(big) == 8
