"""From the verifier's log to an error that says where and why.

The log is text for people (kernel/bpf/log.c); what is relied on here has held from 5.10 to 7.3: an instruction line is
``<slot>: (<opcode>) ...`` with register states before or after it, a source line begins with ``; ``, and the closing
statistics with ``processed N insns``. The reason is the last line of the log that is none of these.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.btf import CORE_RELOCATION, LINE, describe_relocation
from aiobpf.spec import EXTERN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiobpf.asm import Instructions

_INSTRUCTION = re.compile(r"^(\d+): \([0-9a-f]{2}\) ")
_STATE = re.compile(r"^(?:\d+: R|from \d+ to \d+|R\d+(?:_\w+)?=| ?(?:frame\d+: )?R\d+(?:_w)?=|\d+: frame\d+)")
_STATISTICS = re.compile(
    r"^(?:processed \d+ insns|verification time|stack depth|max_states|mark_precise|last_idx|first_idx|"
    r"parent (?:didn't|already)|regs=|propagating|BPF program is too large\. Processed|func#\d+ @\d+$)"
)
_FUNCTION_NOISE = re.compile(r"^(?:Validating .*\(\) func#\d+|caller:|callee:|returning from callee|to caller at \d+:)")
_AT_INSTRUCTION = re.compile(r"(?:insn|instruction) (\d+)")

POISON = 0xBAD2310
"""What CO-RE leaves in an instruction it could not relocate: a call of this helper (195896080)."""
POISONED_KFUNC = 2002000000
"""The kfunc number left where a weak kfunc is missing."""


@frozen
class Verdict:
    """What the log says: the reason, and the raw slot it stopped at (None if it names none)."""

    reason: str
    slot: int | None


def read_log(log: str) -> Verdict:
    """The reason and place of a rejection; any text gives a Verdict."""
    slot: int | None = None
    reason = ""
    for line in log.splitlines():
        if match := _INSTRUCTION.match(line):
            slot = int(match[1])
        elif (
            line.strip()
            and not line.startswith((";", " "))
            and not _STATE.match(line)
            and not _STATISTICS.match(line)
            and not _FUNCTION_NOISE.match(line)
        ):
            reason = line.strip()
    if match := _AT_INSTRUCTION.search(reason):
        # Checks before the walk (check_cfg, jump ranges, BTF of subprograms) name the slot in their message only.
        slot = int(match[1])
    return Verdict(reason, slot)


def source_at(instructions: Instructions, slot: int) -> str | None:
    """The source line of the statement that *slot* belongs to: "exec.bpf.c:31  e->ppid = ...;"."""
    line = None
    for index, candidate in instructions.with_key(LINE):
        if instructions.slot_of(index) > slot:
            break
        line = candidate
    if line is None:
        return None
    return f"{line.file_name.rsplit('/', 1)[-1]}:{line.line}  {line.text.strip()}"


def explain(instructions: Instructions, verdict: Verdict) -> tuple[str, str | None]:
    """The reason in words that name what was missing, and what to do about it where that is known."""
    reason = verdict.reason or "the kernel gives no reason"
    index = None
    if verdict.slot is not None and verdict.slot < instructions.slot_count:
        index = instructions.index_of_slot(verdict.slot)
    if index is not None:
        metadata = instructions.metadata(index)
        relocation = metadata.get(CORE_RELOCATION)
        if relocation is not None and (str(POISON) in reason or "195896080" in reason):
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
    return reason, None


_HINTS: Sequence[tuple[str, str]] = (
    (r"R\d+ invalid mem access 'scalar'", "that register holds a plain number, not a pointer the verifier knows: read "
     "kernel memory with BPF_CORE_READ() or bpf_probe_read_kernel()"),
    (r"R\d+ invalid mem access '(?:map_value|mem|sock|\w+)_or_null'", "check the pointer against NULL before its use"),
    (r"(?:Unreleased reference|reference has not been released)", "every path must submit, discard or release what it "
     "reserved or acquired"),
    (r"(?:back-edge|infinite loop detected)", "bound the loop by a constant, or use bpf_loop() or bpf_for()"),
    (r"BPF program is too large", "the verifier walked a million instructions: shorten loops, or split the program"),
    (r"combined stack size|stack size \d+ exceeds|invalid (?:write|read) (?:to|from) stack",
     "a program has 512 bytes of stack: move large values into a per-CPU array"),
    (r"unknown func|invalid func", "this kernel, or this program type, has no such helper"),
    (r"cannot call GPL", 'the helper is for GPL programs: char LICENSE[] SEC("license") = "GPL";'),
    (r"misaligned (?:packet|value|stack|context) access", "read it in smaller pieces, or align the member"),
    (r"invalid access to (?:packet|map value|mem)", "compare the offset with the end (data_end, the size) before the "
     "access, in a form that the compiler keeps"),
)  # fmt: skip
