"""What is read from the end of a log: reason, place, report and statistics, in forms made by hand, and of any text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.verifier import CausalEvent, Report, Statistics, Verdict, read_verdict
from tests.verifier.corpus import LOGS


@pytest.mark.parametrize("name", ["or_null", "leak", "or_null_moved"])
def test_the_report_of_7_3_is_read_too(name: str) -> None:
    verdict = read_verdict(LOGS["7.3", name, 1])
    report = verdict.report
    assert report is not None
    assert report.reason
    assert not report.reason.startswith("Reason")
    assert report.suggestion.endswith(".")
    assert "\n" not in report.reason + report.suggestion
    assert report.causal_path
    assert all(event.slot is not None and event.text for event in report.causal_path)


def test_the_kernel_s_causal_path_has_its_events() -> None:
    report = read_verdict(LOGS["7.3", "spilled", 1]).report
    assert report is not None
    assert CausalEvent(
        10, "update", "R1 changed from uninitialized value to nullable map value from numbers at offset 0"
    ) in report.causal_path  # fmt: skip


def test_a_report_alone_names_its_place() -> None:
    log = (
        "Verification failed: Program Structure: Unreachable instruction\n\n"
        "Reason:\n  Instruction 2 is not reachable.\n\nAt:\n"
        "  entry @ x.bpf.c:7:1\n  Instruction context:\n      1 | (95) exit\n  >>> 2 | (b7) r0 = 0\n\n"
        "Suggestion:\n  Remove it.\n\nprocessed 0 insns (limit 1000000)\n"
    )
    assert read_verdict(log) == Verdict(
        "Program Structure: Unreachable instruction",
        2,
        Report("Program Structure: Unreachable instruction", "Instruction 2 is not reachable.", "Remove it."),
        Statistics(0, 1_000_000),
    )


FORMS = {
    # 5.10: states on lines of their own, calls with both frames, and what the precision walk says in between
    "states": (
        "0: R1=ctx(id=0,off=0,imm=0) R10=fp0\n0: (85) call pc+1\ncaller:\n R10=fp0\ncallee:\n frame1: R1=ctx(id=0,"
        "off=0,imm=0) R10=fp0\n2: (79) r0 = *(u64 *)(r1 +0)\n R1=ctx(id=0,off=0,imm=0)\nlast_idx 2 first_idx 0\n"
        "regs=1 stack=0 before 1: (95) exit\nparent didn't have regs=1 stack=0 marks\nR1 invalid mem access 'ctx'\n"
        "verification time 12 usec\nstack depth 0+0\nprocessed 2 insns (limit 1000000)\n",
        2,
        "R1 invalid mem access 'ctx'",
    ),
    "after a branch": (
        "4: (bf) r2 = r10\n\nfrom 1 to 7: R0_w=inv(id=0)\n7: (95) exit\nR0 !read_ok\nprocessed 8 insns\n",
        7,
        "R0 !read_ok",
    ),
    "before the walk": ("back-edge from insn 12 to 3\nprocessed 0 insns\n", 12, "back-edge from insn 12 to 3"),
    "a loop": (
        "5: (05) goto pc-2\ninfinite loop detected at insn 4\ncur state: R0=1 R10=fp0\nold state: R0=1 R10=fp0\n"
        "processed 9 insns\n",
        4,
        "infinite loop detected at insn 4",
    ),
    "a reason in the line of the branch": (
        "22: (b4) w1 = 1                       ; R1=1\n"
        "23: (1d) if r2 == r3 goto pc-7 infinite loop detected at insn 17\ncur state: R0=1 R10=fp0\n"
        "processed 54 insns\n",
        17,
        "infinite loop detected at insn 17",
    ),
    "too complex": (
        "2192: (56) if w0 != 0x0 goto pc+373\nThe sequence of 8193 jumps is too complex.\nverification time 8 usec\n"
        "stack depth 64+8\nprocessed 336006 insns (limit 1000000)\n",
        2192,
        "The sequence of 8193 jumps is too complex.",
    ),
    "a global function": (
        "Validating f() func#1...\n3: R1=scalar() R10=fp0\n; int f(int x) @ f.c:3\n3: (95) exit\nR0 !read_ok\n",
        3,
        "R0 !read_ok",
    ),
    "BTF": (
        "func_info type_id=3 is not a FUNC\nprocessed 0 insns (limit 1000000)\n",
        None,
        "func_info type_id=3 is not a FUNC",
    ),
    "no reason": ("0: (95) exit\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n", 0, ""),
    "nothing": ("", None, ""),
    "a number beyond all programs": (f"{10**30}: (95) exit\ninsn {10**30}\n", None, f"insn {10**30}"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    log, slot, reason = FORMS[form]
    verdict = read_verdict(log)
    assert (verdict.slot, verdict.reason) == (slot, reason)


@given(st.text())
def test_any_text_gives_a_verdict(text: str) -> None:
    assert isinstance(read_verdict(text).reason, str)


@given(st.lists(st.sampled_from(sorted({line for log in LOGS.values() for line in log.splitlines()})), max_size=30))
def test_lines_in_any_order_give_a_verdict(lines: list[str]) -> None:
    verdict = read_verdict("\n".join(lines))
    assert verdict.slot is None or verdict.slot >= 0


@pytest.mark.parametrize(
    ("text", "statistics"),
    [
        (
            "processed 7 insns (limit 1000000) max_states_per_insn 4 total_states 5 peak_states 6 mark_read 3",
            Statistics(7, 1_000_000, 4, 5, 6, 3),
        ),
        (
            "verification time 12 usec\nstack depth 8+16\nprocessed 2 insns (limit 1000000)",
            Statistics(2, 1_000_000, time_us=12, stack_depth=(8, 16)),
        ),
        (
            "verification time 9 usec\nstack depth max 0\nsubprog 0 (<unknown>) main insns_self 3\nprocessed 3 insns",
            Statistics(3, time_us=9, stack_depth=(0,)),
        ),
        ("R0 !read_ok", None),
    ],
)
def test_the_statistics_are_numbers(text: str, statistics: Statistics | None) -> None:
    assert read_verdict(f"0: (95) exit\nR0 !read_ok\n{text}\n").statistics == statistics


def test_a_large_log_is_read_quickly() -> None:
    log = "1: (79) r0 = *(u64 *)(r1 +0)          ; R0=scalar(id=1,umax=255) R1=ctx()\n" * 50_000 + "R1 !read_ok\n"
    begin = time.perf_counter()
    assert read_verdict(log) == Verdict("R1 !read_ok", 1)
    assert time.perf_counter() - begin < 2
