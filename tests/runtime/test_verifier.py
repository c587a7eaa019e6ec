"""What a refusal says with the program at hand: source lines, names, and what the loader had to leave out."""

from __future__ import annotations

import errno

from hypothesis import given
from hypothesis import strategies as st

from aiobpf import asm
from aiobpf.asm import R0, R1, Instructions
from aiobpf.btf import LINE, Line
from aiobpf.btf.core_fixup import POISON_HELPER
from aiobpf.runtime.program_externs import POISONED_KFUNC
from aiobpf.runtime.source_lines import SourceLines, source_at
from aiobpf.runtime.verifier import instruction_text, refused
from aiobpf.spec import EXTERN, Extern, ExternKind


def program() -> Instructions:
    code = Instructions([asm.mov(R0, 0), asm.ld_imm64(R1, 1), asm.call_helper(POISON_HELPER), asm.exit_()])
    code.set_metadata(0, LINE, Line("dir/x.bpf.c", "  int a = 0;", 3, 5))
    code.set_metadata(2, LINE, Line("dir/x.bpf.c", "  f();", 5, 5))
    return code


def test_the_source_line_is_the_last_one_at_or_before_the_slot() -> None:
    assert source_at(program(), 1) == "x.bpf.c:3  int a = 0;"
    assert source_at(program(), 3) == "x.bpf.c:5  f();"
    assert source_at(program(), 4) == "x.bpf.c:5  f();"
    assert source_at(Instructions([asm.exit_()]), 0) is None


def test_the_function_around_a_slot_is_named_where_it_is_not_the_programs_own() -> None:
    code = Instructions([asm.exit_().with_symbol("main"), asm.mov(R0, 0).with_symbol("f"), asm.exit_()])
    assert [SourceLines(code).function_at(slot) for slot in range(3)] == [None, "f", "f"]
    error = refused(errno.EACCES, "p", code, "1: (bf) r0 = r3\nR3 !read_ok\n")
    assert error.function == "f"
    assert "R3 !read_ok at instruction 1, in f()" in str(error)


def test_a_missing_kernel_function_is_named() -> None:
    code = program()
    code.set_metadata(2, EXTERN, Extern("bpf_new_thing", ExternKind.KFUNC, is_weak=True))
    log = f"3: (85) call unknown#{POISONED_KFUNC}\ninvalid func unknown#{POISONED_KFUNC}\nprocessed 3 insns\n"
    error = refused(errno.EINVAL, "p", code, log)
    assert "'bpf_new_thing'" in error.reason
    assert error.cause == "missing-kfunc"
    assert error.hint is not None
    assert "bpf_ksym_exists(bpf_new_thing)" in error.hint
    assert str(error).count("bpf_new_thing") == 3


def test_a_slot_inside_an_instruction_or_beyond_the_end_is_no_error() -> None:
    for slot in (2, 5, 10**8):
        error = refused(errno.EACCES, "p", program(), f"{slot}: (bf) r0 = r3\nR3 !read_ok\n")
        assert (error.reason, error.instruction, error.disassembly) == ("R3 !read_ok", slot, None)
    assert instruction_text(program(), 4) == "exit"


def test_the_kernel_s_own_words_are_kept_where_there_are_none_of_ours() -> None:
    report = "\nVerification failed: New: Thing\n\nReason:\n  It is new.\n\nAt:\n  insn 0\n\nSuggestion:\n  Do it.\n\n"
    error = refused(errno.EACCES, "p", program(), f"0: (b7) r0 = 0\nsomething new\n{report}processed 1 insns\n")
    assert (error.reason, error.cause) == ("something new", None)
    assert (error.explanation, error.hint) == ("It is new.", "Do it.")
    known = refused(errno.EACCES, "p", program(), f"0: (b7) r0 = 0\nR3 !read_ok\n{report}processed 1 insns\n")
    assert known.explanation == "R3 holds nothing on this path"
    assert "The kernel's own report: New: Thing" in known.explain()
    assert refused(errno.EACCES, "p", program(), "").reason == "the kernel gives no reason"


@given(st.text() | st.lists(st.sampled_from([
    "0: R1=ctx() R10=fp0", "0: (bf) r6 = r1", "1: (85) call pc+1", "from 1 to 0: R1=ctx()", "0: safe", "4: (95) exit",
    "R6 invalid mem access 'scalar'", "returning from callee:", "mark_precise: frame0: last_idx 1 first_idx 0",
    "3: (79) r6 = *(u64 *)(r10 -8)", "2: (7b) *(u64 *)(r10 -8) = r6", "Validating f() func#1...", "; x",
    "5: (0f) r6 += r6", " frame1: R6=fp-8 fp-8=R6", "9: (85) call bpf_loop#181", "processed 3 insns",
]), max_size=40).map("\n".join))  # fmt: skip
def test_any_log_gives_an_error_that_can_be_told(log: str) -> None:
    error = refused(errno.EACCES, "p", program(), log)
    assert str(error).startswith("program 'p' was rejected: ")
    assert f"{error:full}".startswith("program 'p' was rejected: ")
    assert isinstance(error.registers, dict)
    assert len(error.path) <= log.count("(") + 1
