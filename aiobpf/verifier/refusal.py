"""One refusal, whole: what the log says, what it means, the way there, and where the offending values came from."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, final

from aiobpf.verifier.effects import Action
from aiobpf.verifier.machine import frames_before
from aiobpf.verifier.origin import Event, Origin, trace
from aiobpf.verifier.path import Path, Step, read_path
from aiobpf.verifier.reasons import Diagnosis, diagnose
from aiobpf.verifier.registers import read_register
from aiobpf.verifier.verdict import Statistics, Verdict, read_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiobpf.verifier.machine import Frame

NEAR = 4096
"""How many steps are looked back for registers and where their values came from."""
_REGISTER = re.compile(r"\bR(10|\d)\b")
_HELD = re.compile(r"\b(R\d{1,2}) (?:invalid mem access '|type=)(\w{1,64})")
_ACQUIRED = re.compile(r"alloc_insn=(\d{1,9})")


class Notes(Protocol):
    """What a program says of its own instructions, by raw slot."""

    def source(self, slot: int, /) -> str | None:
        """The source line of the statement ("x.bpf.c:18  return *value;")."""
        ...

    def text(self, slot: int, /) -> str | None:
        """The instruction with the names that it refers to ("r1 = <table> ll")."""
        ...


@final
class NoNotes:
    """Nothing but the log is there."""

    def source(self, slot: int, /) -> str | None:
        return None

    def text(self, slot: int, /) -> str | None:
        return None


@final
class Refusal:
    """A log and what it means; everything is read when it is first asked for. Any text gives a Refusal.

    *is_cut* says that the log was too long for its buffer, so that its last line may be in pieces.
    """

    def __init__(self, log: str, notes: Notes | None = None, *, is_cut: bool = False) -> None:
        # A log that was cut may end in the middle of a line, and well before the reason.
        self._log = log.rpartition("\n")[0] if is_cut else log
        self.notes: Notes = notes or NoNotes()

    # --- what is said -------------------------------------------------------------------------------------------------

    @cached_property
    def verdict(self) -> Verdict:
        return read_verdict(self._log)

    @property
    def statistics(self) -> Statistics | None:
        return self.verdict.statistics

    @cached_property
    def diagnosis(self) -> Diagnosis | None:
        """What the reason means, and what to change."""
        return diagnose(self.verdict.reason)

    # --- the way there ------------------------------------------------------------------------------------------------

    @cached_property
    def path(self) -> Path:
        """The whole way from the first instruction to the one that failed."""
        return read_path(self._log)

    @cached_property
    def near_path(self) -> Path:
        """The last steps of it: what the rest is read from."""
        return read_path(self._log, NEAR)

    @cached_property
    def frames(self) -> Sequence[Frame]:
        """The registers before each step of `near_path`, and those that the last one found."""
        frames = list(frames_before(self.near_path))
        if match := _HELD.search(self.verdict.reason):
            # The reason knows better than the last state that was printed: a call may have taken what a register held.
            name, held = match[1], read_register(match[1], match[2])
            known = frames[-1].get(name)
            if known is None or not known.type.startswith(held.type.partition("_or_null")[0]):
                frames[-1] = {**frames[-1], name: held}
        return frames

    @property
    def registers(self) -> Frame:
        """The registers and stack slots of the function that the verifier stopped in, as it found them there."""
        return self.frames[-1] if self.near_path.steps else {}

    @property
    def step(self) -> Step | None:
        """The step that failed; None where the verifier did not get to walk."""
        return self.near_path.steps[-1] if self.near_path.steps else None

    @cached_property
    def offending(self) -> Sequence[int]:
        """The registers that the reason names, or else those that the failing instruction reads."""
        step = self.step
        if step is None:
            return ()
        named = [int(number) for number in _REGISTER.findall(self.verdict.reason)]
        if not named and step.effect.action not in {Action.EXIT, Action.CALL}:
            named = list(step.effect.reads)
        return tuple(dict.fromkeys(number for number in named if number != 10))

    @cached_property
    def origins(self) -> Sequence[Origin]:
        """Where the offending registers, and what was acquired and not released, came from."""
        found = [
            trace(self.near_path, number, self.registers.get(f"R{number}"), self.frames) for number in self.offending
        ]
        if match := _ACQUIRED.search(self.verdict.reason):
            steps = self.near_path.steps
            index = next((i for i in range(len(steps) - 1, -1, -1) if steps[i].slot == int(match[1])), None)
            if index is not None:
                words = f"acquired by {steps[index].text}, and not released since"
                found.append(Origin("reference", None, (Event(index, steps[index], "reference", words, True),)))
        return tuple(origin for origin in found if origin.events)

    # --- words --------------------------------------------------------------------------------------------------------

    def source_of(self, step: Step) -> str | None:
        """The source line of a step: by the program's own notes, or else as the log has it."""
        return self.notes.source(step.slot) or step.source

    def text_of(self, step: Step) -> str:
        return self.notes.text(step.slot) or step.text

    def short_lines(self) -> list[str]:
        """The registers that matter, each with where its value began."""
        lines = []
        for origin in self.origins[:3]:
            beginning = origin.beginning or origin.events[-1]
            held = "" if origin.state is None else origin.state.describe()
            line = f"{origin.register}: " if not held or held in beginning.words else f"{origin.register} is {held}: "
            if beginning.place not in {origin.register, "reference"}:
                line += f"from {beginning.place}, "
            line += beginning.words
            if beginning.step is not None:
                line += f", at instruction {beginning.step.slot}"
                source = self.source_of(beginning.step)
                line += f" ({source})" if source else ""
            lines.append(line)
        return lines

    def explain(self, steps: int = 20) -> str:
        """The annotated story: see `aiobpf.verifier.story`."""
        from aiobpf.verifier.story import tell

        return tell(self, steps)
