"""The way that the verifier took to where it stopped.

A log of level 1 is that way: on its way back to a branch the verifier takes back what it wrote since (5.7). At level 2
all is kept. Where a way ends, the walk goes on from the newest branch whose other side is open: a line "from A to B"
says so (5.18), or nothing but that the state of B is printed next (before). What lies between the branch and there
belongs to ways that ended well. The log is read from its end, so that the last steps of megabytes cost little.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.verifier.effects import Action, Effect, effect_of
from aiobpf.verifier.registers import States, read_states

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP = re.compile(r"(\d{1,9}): \(([0-9a-f]{2})\) ([^;\n]*)(?:;(.*))?")
# After it has taken back what it wrote, the verifier goes on in the middle of the line (6.x, level 1).
_CONTINUED = re.compile(r"\s(\d{1,9}): (?=R\d|frame\d|fp-\d|refs=)")
_STATE = re.compile(r"(?:\d{1,9}: |\s+)(?=R\d|frame\d|fp-\d|refs=)")
_BRANCH = re.compile(r"from (\d{1,9}) to (\d{1,9})(?: \(speculative execution\))?:(.*)")
_LOOP = re.compile(r"infinite loop detected at insn (\d{1,9})")
_VALIDATING = re.compile(r"Validating (\w+)\(\) func#\d")
_SAFE = re.compile(r"\d{1,9}: safe")
_JUMP = re.compile(r".*\bgoto pc([+-]\d{1,6})")
# What follows at level 2 on a jump whose condition was known: its operands have to be exact.
_PRECISION = re.compile(r"(?:mark_precise: frame\d+: )?last_idx (\d{1,9}) ")
_WALKED = re.compile(r"^\d{1,9}: \(", re.MULTILINE)
_SHOWN = re.compile(r"^\d{1,9}: (?:R\d|frame\d)", re.MULTILINE)
_BEGINNING = 1 << 16


@frozen
class Step:
    """One instruction on the way: its *slot*, *opcode* (the wire's byte) and *text* as the kernel disassembles it.

    *source* is the line of source that the log shows last before it ("return *value; @ x.bpf.c:18"), or None. *after*
    holds the states that are printed until the next step: what has changed, or all (5.10). For the last step, which
    failed, they are what it found. *entered* says that it called a function whose own steps follow.
    """

    slot: int
    opcode: int
    text: str
    source: str | None = None
    after: tuple[str, ...] = ()
    next_slot: int | None = None
    """The slot of the step that follows on the way; None for the last."""

    @cached_property
    def effect(self) -> Effect:
        return effect_of(self.text)

    @cached_property
    def states(self) -> tuple[States, ...]:
        """The states of *after*."""
        return tuple(read_states(text) for text in self.after)

    @property
    def width(self) -> int:
        """Slots: 2 for a 64-bit immediate load."""
        return 2 if self.opcode == 0x18 else 1

    @property
    def entered(self) -> bool:
        return self.effect.action is Action.CALL and self.next_slot is not None and self.next_slot != self.slot + 1

    @property
    def branch_taken(self) -> bool | None:
        """For a conditional jump, whether it jumped; None for others, and where nothing follows."""
        if not self.text.startswith("if ") or self.next_slot is None:
            return None
        return self.next_slot != self.slot + 1


@frozen
class Path:
    """The last steps to where the verifier stopped, newest last; *before* are the states printed ahead of the first."""

    steps: tuple[Step, ...] = ()
    before: tuple[str, ...] = ()
    is_whole: bool = True
    """Whether it begins where the program does, as far as the log tells."""
    function: str | None = None
    """The global function that was walked by itself; None for the program's entry."""


def lines_backwards(text: str, end: int | None = None) -> Iterator[tuple[int, str]]:
    """(where it begins, line) from the last line to the first; empty ones are left out."""
    stop = len(text) if end is None else end
    while stop > 0:
        start = text.rfind("\n", 0, stop) + 1
        if start < stop:
            yield start, text[start:stop]
        stop = start - 1


def shows_registers(log: str) -> bool:
    """Whether the walk in *log* shows registers: before 5.18 level 1 does so at branches only. True without a walk."""
    beginning = log[:_BEGINNING]
    return _SHOWN.search(beginning) is not None or _WALKED.search(beginning) is None


def read_path(log: str, limit: int | None = None) -> Path:
    """The last *limit* steps of the way, or all; any text gives a Path.

    Where several passes over one branch are open, the newest whose condition was not known is the one.
    """
    reader = _Reader()
    for _, line in lines_backwards(log):
        if not reader.read(line) or (limit is not None and len(reader.steps) >= limit):
            break
    return reader.path(is_whole=limit is None or len(reader.steps) < limit)


class _Reader:
    """Collects steps, newest first, from the lines of a log that are given last to first."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._states: list[str] = []
        self._sources: list[str] = []
        self._next_slot: int | None = None
        self._waits: tuple[int, int, str, tuple[str, ...], int | None] | None = None  # for its source line
        # The branch that the walk returned to, while it is sought: its slot if that is known, and its other side.
        self._branch: tuple[int | None, int] | None = None
        self._function: str | None = None
        self._passed = 0  # returns to the same branch that are met on the way
        # Since the step that was met last: its slot, and what was said of how the walk came there.
        self._follower: int | None = None
        self._exact: int | None = None
        self._has_popped = False
        self._has_returned = False

    def read(self, line: str) -> bool:
        """Take one line more; False where the way begins."""
        first = line[0]
        if first == ";":
            if self._branch is None:
                self._sources.append(line[1:].strip())
        elif first.isdigit():
            if match := _STEP.match(line):
                self._step(line, match)
            elif _SAFE.match(line):
                self._end()
            elif self._branch is None and _STATE.match(line):
                if self._next_slot is None:  # the verifier came there, and stopped before it printed the instruction
                    self._follower = int(line.partition(":")[0])
                self._states.append(line)
        elif first.isspace():
            if self._branch is None and _STATE.match(line):
                self._states.append(line)
        elif branch := _BRANCH.match(line):
            is_safe = branch[3].strip() == "safe"
            if is_safe:
                self._end()
            self._pop(int(branch[1]), int(branch[2]), "" if is_safe else branch[3])
        elif line.startswith("returning from callee"):
            self._has_returned = True
        elif match := _VALIDATING.match(line):  # a global function, walked by itself
            self._function = match[1]
            return False
        elif not self.steps and (match := _LOOP.match(line)):
            self._follower = int(match[1])  # which it may have come to from a branch, without another word
        elif self._branch is not None and (match := _PRECISION.match(line)):
            self._exact = int(match[1])
        return True

    def _step(self, line: str, match: re.Match[str]) -> None:
        slot, text, states = int(match[1]), match[3], match[4]
        if cut := _CONTINUED.search(text):
            states = line[match.start(3) + cut.start() :]
            text = text[: cut.start()]
        text = text.rstrip()
        if jump := _JUMP.match(text):
            text = jump[0]
        if text == "exit" and not self._has_returned:
            self._end()
        if self._branch is None:
            if states is not None:
                self._states.append(states)
            self._collect(slot, int(match[2], 16), text)
        elif self._is_branch(slot, text):
            if self._passed:
                self._passed -= 1
            else:
                self._branch = None
                self._collect(slot, int(match[2], 16), text)
        self._follower, self._exact = slot, None
        self._has_popped = self._has_returned = False

    def _is_branch(self, slot: int, text: str) -> bool:
        """Whether this may have left the branch that is sought: a jump that was decided has left none."""
        assert self._branch is not None
        origin, target = self._branch
        if text.startswith("if") and (self._exact == slot or self._follower == target != slot + 1):
            return False
        if origin is not None:
            return slot == origin
        jump = _JUMP.match(text)
        return jump is not None and text.startswith("if") and slot + 1 + int(jump[1]) == target

    def _end(self) -> None:
        """A way ended here: what follows in the log is another."""
        if not self._has_popped and self._follower is not None:
            self._pop(None, self._follower, "")
        self._has_popped = False

    def _pop(self, origin: int | None, target: int, states: str) -> None:
        """The walk returned to the branch at *origin*, to take its other side, *target*."""
        self._has_popped = True
        if self._branch is None:
            self._flush()
            if states:
                self._states.append(states)
            self._branch, self._passed = (origin, target), 0
        else:
            wanted, side = self._branch
            self._passed += target == side if wanted is None or origin is None else origin == wanted
        self._exact = self._follower = None

    def _collect(self, slot: int, opcode: int, text: str) -> None:
        self._flush()
        self._waits = slot, opcode, text, tuple(reversed(self._states)), self._next_slot
        self._states.clear()
        self._next_slot = slot

    def _flush(self) -> None:
        if self._waits is not None:
            slot, opcode, text, after, next_slot = self._waits
            source = " ".join(reversed(self._sources)) or None
            self.steps.append(Step(slot, opcode, text, source, after, next_slot))
            self._waits = None
        self._sources.clear()

    def path(self, *, is_whole: bool) -> Path:
        if is_whole:
            self._flush()
        before = tuple(reversed(self._states)) if is_whole else ()
        return Path(tuple(reversed(self.steps)), before, is_whole and self._branch is None, self._function)
