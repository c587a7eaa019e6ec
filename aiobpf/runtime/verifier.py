"""Why a program was refused: the verifier's log beside the program's own notes.

`aiobpf.runtime.verifier_log` reads the log; here its slot becomes a source line, and what CO-RE or a missing kernel
function left in the code becomes the name of what was missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from aiobpf.asm import COMMENT, EMPTY, Metadata
from aiobpf.btf import CORE_RELOCATION, LINE, describe_relocation
from aiobpf.errors import AsmError
from aiobpf.spec import EXTERN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiobpf.asm import Instructions, Key
    from aiobpf.runtime.verifier_log import Verdict

T = TypeVar("T")

POISON = 0xBAD2310
"""What CO-RE leaves in an instruction it could not relocate: a call of this helper (195896080)."""
POISONED_KFUNC = 2002000000
"""The kfunc number left where a weak kfunc is missing."""


def source_at(instructions: Instructions, slot: int) -> str | None:
    """The source line of the statement that *slot* belongs to: "exec.bpf.c:31  e->ppid = ...;".

    Where it was written by hand, the comment that stands for it.
    """
    line = _last_until(instructions, LINE, slot)
    comment = _last_until(instructions, COMMENT, slot)
    if comment is not None and (line is None or comment[0] > line[0]):
        return comment[1]
    if line is None:
        return None
    return f"{line[1].file_name.rsplit('/', 1)[-1]}:{line[1].line}  {line[1].text.strip()}"


def _last_until(instructions: Instructions, key: Key[T], slot: int) -> tuple[int, T] | None:
    found: tuple[int, T] | None = None
    for at, value in instructions.with_key_by_slot(key):
        if at > slot:
            break
        found = at, value
    return found


def explain(instructions: Instructions, verdict: Verdict) -> tuple[str, str | None]:
    """The reason in words that name what was missing, and what to do about it where that is known."""
    reason = verdict.reason or "the kernel gives no reason"
    metadata = _metadata_at(instructions, verdict.slot)
    if metadata:
        relocation = metadata.get(CORE_RELOCATION)
        if relocation is not None and str(POISON) in reason:
            return f"it reaches what this kernel does not have: {describe_relocation(relocation)}", (
                "guard it with bpf_core_field_exists() or bpf_core_type_exists(), or use a flavour of the type that "
                "this kernel has"
            )
        extern = metadata.get(EXTERN)
        if extern is not None and str(POISONED_KFUNC) in reason:
            return (
                f"it calls the weak kernel function {extern.name!r}, which this kernel does not have",
                f"guard the call with `if ({extern.name})` or bpf_ksym_exists({extern.name})",
            )
    for pattern, hint in _HINTS:
        if re.search(pattern, reason):
            return reason, hint
    return reason, f"{verdict.explanation} {verdict.suggestion}".strip() or None


def _metadata_at(instructions: Instructions, slot: int | None) -> Metadata:
    try:
        return EMPTY if slot is None else instructions.at_slot(slot).metadata
    except AsmError:  # the log is text: a slot that no instruction begins at is no reason for another error
        return EMPTY


_HINTS: Sequence[tuple[str, str]] = (
    (r"R\d+ invalid mem access '(?:scalar|inv)'", "that register holds a plain number, not a pointer that it knows: "
     "read kernel memory with BPF_CORE_READ() or bpf_probe_read_kernel()"),
    (r"R\d+ invalid mem access '(?:map_value|mem|sock|\w+)_or_null'", "check the pointer against NULL before its use"),
    (r"(?:Unreleased reference|reference has not been released)", "every path must submit, discard or release what it "
     "reserved or acquired"),
    (r"(?:back-edge|infinite loop detected)", "bound the loop by a constant, or use bpf_loop() or bpf_for()"),
    (r"BPF program is too large", "the verifier walked a million instructions: shorten loops, or split the program"),
    (r"combined stack size|stack size \d+ exceeds|invalid (?:write|read) (?:to|from) stack",
     "a program has 512 bytes of stack: move large values into a per-CPU array"),
    (r"number of funcs in func_info", "a function passed to a helper as a callback (bpf_for_each_map_elem, bpf_loop) "
     "needs Linux 5.13"),
    (r"unknown func|invalid func", "this kernel, or this program type, has no such helper"),
    (r"cannot call GPL", 'the helper is for GPL programs: char LICENSE[] SEC("license") = "GPL";'),
    (r"misaligned (?:packet|value|stack|context) access", "read it in smaller pieces, or align the member"),
    (r"invalid access to (?:packet|map value|mem)", "compare the offset with the end (data_end, the size) before the "
     "access, in a form that the compiler keeps"),
)  # fmt: skip
