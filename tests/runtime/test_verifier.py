"""What is read from the verifier's logs: real ones of three kernels, forms made by hand, and anything at all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf import asm
from aiobpf.asm import R0, R1, Instructions
from aiobpf.btf import LINE, Line
from aiobpf.runtime.verifier import POISON, POISONED_KFUNC, explain, source_at
from aiobpf.runtime.verifier_log import Verdict, read_log
from aiobpf.spec import EXTERN, Extern, ExternKind

LOGS = Path(__file__).parent / "verifier_logs"


def corpus() -> list[tuple[str, int | None, str, str]]:
    """Name, slot and reason of each rejection, and its log: written down as the kernels printed them."""
    found = []
    for path in sorted(LOGS.glob("*.txt")):
        for entry in path.read_text().split("=== ")[1:]:
            title, log = entry.split("\n", 1)
            name, slot, reason = title.split(" | ", 2)
            found.append((f"{path.stem}: {name}", None if slot == "None" else int(slot), reason, log))
    return found


@pytest.mark.parametrize(("slot", "reason", "log"), [pytest.param(*rest, id=name) for name, *rest in corpus()])
def test_real_logs(slot: int | None, reason: str, log: str) -> None:
    verdict = read_log(log)
    assert (verdict.slot, verdict.reason) == (slot, reason)


@pytest.mark.parametrize("name", ["or_null, level 1", "leak, level 2", "unchecked, level 2"])
def test_the_report_of_7_3_is_read_too(name: str) -> None:
    log = next(log for title, _, _, log in corpus() if title == f"7.3: {name}")
    verdict = read_log(log)
    assert verdict.explanation
    assert not verdict.explanation.startswith("Reason")
    assert verdict.suggestion.endswith(".")
    assert "\n" not in verdict.explanation + verdict.suggestion


def test_a_report_alone_names_its_place() -> None:
    log = (
        "Verification failed: Program Structure: Unreachable instruction\n\n"
        "Reason:\n  Instruction 2 is not reachable.\n\nAt:\n"
        "  entry @ x.bpf.c:7:1\n  Instruction context:\n      1 | (95) exit\n  >>> 2 | (b7) r0 = 0\n\n"
        "Suggestion:\n  Remove it.\n\nprocessed 0 insns (limit 1000000)\n"
    )
    assert read_log(log) == Verdict(
        "Program Structure: Unreachable instruction", 2, "Instruction 2 is not reachable.", "Remove it."
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
    verdict = read_log(log)
    assert (verdict.slot, verdict.reason) == (slot, reason)


@given(st.text())
def test_any_text_gives_a_verdict(text: str) -> None:
    verdict = read_log(text)
    assert isinstance(explain(Instructions([asm.exit_()]), verdict)[0], str)


@given(st.lists(st.sampled_from([line for _, _, _, log in corpus() for line in log.splitlines()]), max_size=30))
def test_lines_in_any_order_give_a_verdict(lines: list[str]) -> None:
    verdict = read_log("\n".join(lines))
    assert verdict.slot is None or verdict.slot >= 0


def test_a_large_log_is_read_quickly() -> None:
    log = "1: (79) r0 = *(u64 *)(r1 +0)          ; R0=scalar(id=1,umax=255) R1=ctx()\n" * 50_000 + "R1 !read_ok\n"
    begin = time.perf_counter()
    assert read_log(log) == Verdict("R1 !read_ok", 1)
    assert time.perf_counter() - begin < 2


def program() -> Instructions:
    code = Instructions([asm.mov(R0, 0), asm.ld_imm64(R1, 1), asm.call_helper(POISON), asm.exit_()])
    code.set_metadata(0, LINE, Line("dir/x.bpf.c", "  int a = 0;", 3, 5))
    code.set_metadata(2, LINE, Line("dir/x.bpf.c", "  f();", 5, 5))
    return code


def test_the_source_line_is_the_last_one_at_or_before_the_slot() -> None:
    assert source_at(program(), 1) == "x.bpf.c:3  int a = 0;"
    assert source_at(program(), 3) == "x.bpf.c:5  f();"
    assert source_at(program(), 4) == "x.bpf.c:5  f();"
    assert source_at(Instructions([asm.exit_()]), 0) is None


def test_a_missing_kernel_function_is_named() -> None:
    code = program()
    code.set_metadata(2, EXTERN, Extern("bpf_new_thing", ExternKind.KFUNC, is_weak=True))
    reason, hint = explain(code, Verdict(f"invalid func unknown#{POISONED_KFUNC}", 3))
    assert "'bpf_new_thing'" in reason
    assert hint is not None
    assert "bpf_ksym_exists(bpf_new_thing)" in hint


def test_a_slot_inside_an_instruction_or_beyond_the_end_is_no_error() -> None:
    for slot in (2, 5, 10**8):
        assert explain(program(), Verdict("R0 !read_ok", slot)) == ("R0 !read_ok", None)


def test_the_kernel_s_own_advice_is_kept_where_there_is_none_of_ours() -> None:
    assert explain(program(), Verdict("R3 !read_ok", 0, "It was never set.", "Set it.")) == (
        "R3 !read_ok",
        "It was never set. Set it.",
    )
    assert explain(program(), Verdict("R1 invalid mem access 'inv'", 0, "It is a number."))[1] != "It is a number."
    assert explain(program(), Verdict("", None))[0] == "the kernel gives no reason"
