"""The way to where the verifier stopped, read from logs made by hand, large ones and any text."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.verifier import Refusal, frames_before, read_path
from aiobpf.verifier.path import shows_registers
from tests.verifier.corpus import LOGS

FORMS = {
    # 5.10, level 2: nothing says that the walk went back but a state that does not follow
    "back without a word": (
        "0: R1=ctx(id=0,off=0,imm=0) R10=fp0\n0: (25) if r6 > 0x1 goto pc+2\n R6=inv(id=0)\n1: R6=inv(id=0)\n"
        "1: (b7) r0 = 0\n2: R0_w=inv0\n2: (95) exit\n3: R6=inv(id=0,umin_value=2)\n3: (bf) r0 = r7\nR7 !read_ok\n",
        [0, 3],
    ),
    "back to what is no instruction": (
        "0: R1=ctx(id=0,off=0,imm=0) R10=fp0\n0: (25) if r6 > 0x1 goto pc+2\n R6=inv(id=0)\n1: R6=inv(id=0)\n"
        "1: (b7) r0 = 0\n2: R0_w=inv0\n2: (95) exit\n3: R6=inv(id=0,umin_value=2)\ninvalid BPF_LD_IMM insn\n",
        [0],
    ),
    "back to a branch inside a function": (
        "0: (85) call pc+1\ncaller:\n R10=fp0\ncallee:\n frame1: R1=ctx() R10=fp0\n2: frame1: R1=ctx() R10=fp0\n"
        "2: (25) if r1 > 0x1 goto pc+1        ; frame1: R1=1\n3: (95) exit\nreturning from callee:\n frame1: R0=0\n"
        "to caller at 1:\n R0=0 R10=fp0\n1: (95) exit\n\nfrom 2 to 4: frame1: R1=ctx() R10=fp0\n4: (bf) r0 = r3\n"
        "R3 !read_ok\n",
        [0, 2, 4],
    ),
    "a way that ends where another passed": (
        "0: (25) if r6 > 0x1 goto pc+2 ; R6=1\n1: (b7) r0 = 0 ; R0=0\n2: (95) exit\n\nfrom 0 to 3: safe\n\n"
        "from 0 to 3: R6=2\n3: (95) exit\nR0 !read_ok\n",
        [3],
    ),
    "a global function by itself": (
        "0: R1=ctx() R10=fp0\n0: (85) call pc+1\nFunc#1 ('f') is global and assumed valid.\n1: R0=scalar()\n"
        "1: (95) exit\nValidating f() func#1...\n2: R1=scalar() R10=fp0\n; int f(int x) @ f.c:3\n2: (bf) r0 = r3\n"
        "R3 !read_ok\n",
        [2],
    ),
    "a callback that was put off": (
        "0: (85) call bpf_loop#181\nmark_precise: frame0: last_idx 0 first_idx 0 subseq_idx -1 \n"
        "1: R0=scalar() R10=fp0\n1: (95) exit\n\n"
        "from 0 to 4: frame1: R1=scalar() R10=fp0 cb\n4: (bf) r0 = r7\nR7 !read_ok\n",
        [0, 4],
    ),
    "a loop that is found on the way back": (
        "0: (61) r1 = *(u32 *)(r10 -4) ; R1=scalar()\n1: (c6) if w1 s< 0xa goto pc-2 ; R1=scalar(smin=10)\n"
        "2: (b7) r0 = 0 ; R0=0\n3: (95) exit\nSCC enter (1)\n\nfrom 1 to 0: R1=scalar(smax=9)\n"
        "0: (61) r1 = *(u32 *)(r10 -4) ; R1=scalar()\n1: (c6) if w1 s< 0xa goto pc-2 ; R1=scalar(smin=10)\n"
        "2: (b7) r0 = 0 ; R0=0\n3: (95) exit\n; while (i < 10) @ x.bpf.c:2\ninfinite loop detected at insn 0\n",
        [0, 1, 0, 1],
    ),
    "a callback": (
        "0: (85) call bpf_loop#181\ncaller:\n R10=fp0\ncallee:\n frame1: R1=scalar() R10=fp0 cb\n"
        "4: frame1: R1=scalar() R10=fp0 cb\n4: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\n",
        [0, 4],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_way_is_found(form: str) -> None:
    log, slots = FORMS[form]
    assert [step.slot for step in read_path(log).steps] == slots


def test_states_of_the_other_side_are_those_behind_the_branch() -> None:
    path = read_path(FORMS["back without a word"][0])
    registers = frames_before(path)[-1]
    assert registers["R6"].number("umin") == 2
    assert "R0" not in registers, "set on the other way"
    assert path.steps[0].branch_taken is True


def test_a_function_has_registers_of_its_own() -> None:
    refusal = Refusal(FORMS["back to a branch inside a function"][0])
    assert set(refusal.registers) == {"R1", "R10"}
    assert refusal.path.steps[0].entered
    assert refusal.frames[0].keys() == {"R10"}


def test_an_argument_of_a_callback_is_told_as_one() -> None:
    (origin,) = Refusal(FORMS["a callback"][0]).origins
    assert [event.words for event in origin.events] == ["argument 1 of a callback of bpf_loop"]


def test_the_source_line_of_a_step_is_the_one_before_it() -> None:
    assert read_path(FORMS["a global function by itself"][0]).steps[0].source == "int f(int x) @ f.c:3"


def test_whether_a_log_shows_registers_is_told() -> None:
    assert not shows_registers(LOGS["5.10", "or_null", 1])
    for kernel in ("6.1", "6.12", "6.18", "7.3"):
        assert shows_registers(LOGS[kernel, "or_null", 1])
    assert shows_registers(LOGS["5.10", "or_null", 2])
    assert shows_registers(LOGS["5.10", "unreachable", 1]), "nothing was walked"


def large(lines: int) -> str:
    walked = "1: (07) r1 += 1          ; R1=scalar(id=1,umax=255,var_off=(0x0; 0xff)) R6=ctx()\n"
    return f"0: R1=ctx() R10=fp0\n{walked * lines}2: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\n"


def test_the_end_of_a_log_of_megabytes_is_read_at_once() -> None:
    log = large(200_000)
    assert len(log) > 15 << 20
    tracemalloc.start()
    begin = time.perf_counter()
    refusal = Refusal(log)
    assert refusal.verdict.slot == 2
    assert refusal.registers["R6"].type == "ctx"
    assert refusal.origins
    assert refusal.short_lines()
    taken, (_, peak) = time.perf_counter() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 5
    assert peak < 16 << 20


def test_the_whole_way_takes_time_in_proportion() -> None:
    begin = time.perf_counter()
    assert len(Refusal(large(100_000)).path.steps) == 100_001
    assert time.perf_counter() - begin < 10


def test_lines_that_never_lead_back_take_time_in_proportion() -> None:
    begin = time.perf_counter()
    for log in (
        "from 1 to 2: R1=ctx()\n" * 100_000,
        "3: (95) exit\n" * 100_000 + "R0 !read_ok",
        "1: (25) if r1 > 0x1 goto pc+1\nfrom 1 to 3: safe\n" * 50_000 + "from 9 to 3: R1=1\n",
        "0: R1=(" + "(0" * 200_000,
        "0: " + "R1=(a=( " * 100_000,
        "R1 type=" * 200_000,
        "0: (25) if r1 > 0x1 goto pc+1 " + "goto pc+1 " * 100_000,
    ):
        assert isinstance(Refusal(log).explain(), str)
    assert time.perf_counter() - begin < 20


@given(st.lists(st.sampled_from(sorted({line for log in LOGS.values() for line in log.splitlines()})), max_size=30))
def test_lines_of_real_logs_in_any_order_are_told(lines: list[str]) -> None:
    assert isinstance(Refusal("\n".join(lines)).explain(), str)


@given(st.text(alphabet="0123456789: ()from tsafe;R=\n,_pP-xfd", max_size=400))
def test_any_text_gives_a_way(text: str) -> None:
    path = read_path(text)
    assert len(frames_before(path)) == max(len(path.steps), 1) + 1
    assert isinstance(Refusal(text).explain(), str)
