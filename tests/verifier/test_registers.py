"""States of registers and stack slots in the words of 5.10 to 7.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.verifier import RegisterState, read_states
from aiobpf.verifier.registers import pointer_words
from tests.verifier.corpus import LOGS


def only(text: str) -> RegisterState:
    (state,) = read_states(text).registers.values()
    return state


@pytest.mark.parametrize(
    ("text", "type_", "value", "words"),
    [
        ("R2=inv5", "scalar", 5, "the number 5"),
        ("R2_w=inv-22", "scalar", -22, "the number -22"),
        ("R3_rw=invP8", "scalar", 8, "the number 8"),
        ("R3=P8", "scalar", 8, "the number 8"),
        ("R3=0xffffffffffffffff", "scalar", -1, "the number -1"),
        ("R3=scalar()", "scalar", None, "a number of which nothing is known"),
        ("R1=inv(id=0)", "scalar", None, "a number of which nothing is known"),
        ("R1=inv(id=0,umax_value=255,var_off=(0x0; 0xff))", "scalar", None, "a number from 0 to 255"),
        ("R1=scalar(smin=umin=smin32=umin32=2,smax=umax=9)", "scalar", None, "a number from 2 to 9"),
        (
            "R1=scalar(smin=0xffffffff80000000,smax=0x7fffffff)",
            "scalar",
            None,
            "a number from -0x80000000 to 0x7fffffff",
        ),
        ("R10=fp0", "fp", 0, "the address of the stack at fp+0"),
        ("R2_w=fp-16", "fp", -16, "the address of the stack at fp-16"),
        ("R1=ctx(id=0,off=0,imm=0)", "ctx", None, "the context"),
        ("R1=ctx()", "ctx", None, "the context"),
        ("R1=map_ptr(map=events,ks=4,vs=8)", "map_ptr", None, "map 'events'"),
        ("R0=map_value_or_null(id=1,map=m,ks=4,vs=8)", "map_value_or_null", None, "a map value of 'm', or NULL"),
        ("R0=map_value(map=m,ks=4,vs=8,off=4)", "map_value", None, "a map value of 'm', 4 bytes in"),
        ("R0=map_value(ks=4,vs=8,smin=0,umax=255,off=1)", "map_value", None, "a map value, 1 to 256 bytes in"),
        ("R1=trusted_ptr_task_struct()", "trusted_ptr_task_struct", None, "a trusted pointer to struct task_struct"),
        ("R1=ptr_task_struct(id=0,off=0,imm=0)", "ptr_task_struct", None, "a pointer to struct task_struct"),
        ("R2=pkt(r=0)", "pkt", None, "packet data"),
        ("fp-8=0000mmmm", "bytes", None, "bytes"),
        ("fp-8=????????", "bytes", None, "bytes that were never set"),
        ("fp-16_w=map_value", "map_value", None, "a map value"),
        ("fp-24=scalar(id=1)", "scalar", None, "a number of which nothing is known"),
    ],
)
def test_a_state_is_a_value(text: str, type_: str, value: int | None, words: str) -> None:
    state = only(text)
    assert (state.type, state.value) == (type_, value)
    assert state.describe() == words


def test_what_stands_in_parentheses_has_one_name_on_every_kernel() -> None:
    old = only("R6=invP(id=3,smin_value=-5,smax_value=9,umin_value=0,umax_value=9,var_off=(0x1; 0xe))")
    new = only("R6=Pscalar(id=3,smin=-5,smax=umax=9,umin=0,var_off=(0x1; 0xe))")
    for state in (old, new):
        assert state.is_precise
        assert state.id == 3
        assert state.signed_range == (-5, 9)
        assert state.unsigned_range == (0, 9)
        assert state.var_off == (1, 0xE)
    assert only("R0=ringbuf_mem_or_null(id=2,ref_obj_id=2,sz=8)").ref_obj_id == 2


def test_a_line_names_its_frame_and_what_must_be_released() -> None:
    states = read_states(" frame1: R1=ctx() R10=fp0 fp-8=mmmm???? refs=2,4 cb")
    assert states.frame == 1
    assert list(states.registers) == ["R1", "R10", "fp-8"]
    assert states.references == (2, 4)


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12", "6.18", "7.3"])
def test_no_state_of_a_real_log_is_left_over(kernel: str) -> None:
    """What the kernel prints as NAME=VALUE behind an instruction is all read."""
    seen = 0
    for (version, _, _), log in LOGS.items():
        for line in log.splitlines() if version == kernel else ():
            _, separator, states = line.partition("; R")
            if separator and line[0].isdigit():
                text = f"R{states}"
                read = read_states(text)
                names = [
                    word.partition("=")[0].partition("_")[0] for word in text.split() if word.startswith(("R", "fp-"))
                ]
                assert list(read.registers) == list(dict.fromkeys(names)), line
                assert all(state.type not in {"unknown", ""} for state in read.registers.values()), line
                seen += 1
    assert seen > 200 or kernel == "5.10"


@given(st.text() | st.text(alphabet="R0123fp-=(),; _wPscalarinv0xm?", max_size=100))
def test_any_text_gives_states(text: str) -> None:
    for state in read_states(text).registers.values():
        assert isinstance(state.describe(), str)
        assert state.signed_range[0] >= -(1 << 100)
        assert isinstance(state.unsigned_range, tuple)
        assert state.var_off is None or len(state.var_off) == 2
        assert isinstance(state.offset, int)


@given(st.text())
def test_any_kind_of_pointer_has_words(type_: str) -> None:
    assert pointer_words(type_)
