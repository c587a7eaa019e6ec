"""Where a value came from: the steps of a path that made a register what it is, followed back through moves and spills.

A register's last writer is looked for from the failing instruction backwards. A move or a spill leads on to the
register it took the value from, arithmetic to both of its operands, a call of the program's own functions into or out
of them; a constant, a load from memory or the result of a helper is where a value begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.verifier.effects import Action

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiobpf.verifier.machine import Frame
    from aiobpf.verifier.path import Path, Step
    from aiobpf.verifier.registers import RegisterState

_MAX_EVENTS = 16
_ARGUMENTS = frozenset({1, 2, 3, 4, 5})


@frozen
class Event:
    """One step that a value went through: at *index* of the path, what happened to *place* ("R1", "fp-16")."""

    index: int
    step: Step | None
    """None for what was so before the first step."""
    place: str
    words: str
    is_beginning: bool = False
    """Whether the value began here."""


@frozen
class Origin:
    """How *register* came to hold what it does, the newest event first."""

    register: str
    state: RegisterState | None
    events: Sequence[Event]

    @property
    def beginning(self) -> Event | None:
        """Where the value began, if the path says so."""
        return next((event for event in self.events if event.is_beginning), None)


def trace(path: Path, register: int, state: RegisterState | None, frames: Sequence[Frame]) -> Origin:
    """Where register *register* of the last step came from. *frames* are the registers before each step."""
    tracer = _Tracer(path, frames)
    tracer.follow(len(path.steps) - 1, f"R{register}")
    return Origin(f"R{register}", state, tuple(tracer.events))


class _Tracer:
    def __init__(self, path: Path, frames: Sequence[Frame]) -> None:
        self.steps = path.steps
        self.is_whole = path.is_whole
        self.function = path.function
        self.frames = frames
        self.events: list[Event] = []
        self._seen: set[tuple[int, str]] = set()

    def follow(self, before: int, place: str) -> None:
        """The events that made *place* what it is ahead of step *before*; operands are followed in turn."""
        waiting = [(before, place)]
        while waiting and len(self.events) < _MAX_EVENTS:
            before, place = waiting.pop(0)
            if (before, place) in self._seen:
                continue
            self._seen.add((before, place))
            waiting += self._writer(before, place)
        self.events.sort(key=lambda event: -event.index)

    def _event(self, index: int, place: str, words: str, *, begins: bool = False) -> None:
        self.events.append(Event(index, self.steps[index] if index >= 0 else None, place, words, begins))

    def _writer(self, before: int, place: str) -> Iterator[tuple[int, str]]:
        """Note what last wrote *place* ahead of *before*, and say what to follow from there."""
        number = int(place[1:]) if place[0] == "R" else -1
        depth = 0  # how many functions below the one that is looked at
        calls: list[int] = []
        for index in range(before - 1, -1, -1):
            step = self.steps[index]
            effect = step.effect
            if effect.action is Action.EXIT and step.next_slot is not None:
                if depth == 0 and number == 0:
                    self._event(index, place, "returned by a function")
                    yield index, "R0"
                    return
                depth += 1
                continue
            if step.entered:
                if depth:
                    depth -= 1
                    if depth == 0 and number in _ARGUMENTS:
                        self._lost(index, place)
                        return
                    continue
                if number in _ARGUMENTS:
                    if effect.is_bpf_call:
                        self._event(index, place, f"argument {number} of the function that is called here")
                        yield index, place
                    else:
                        self._event(index, place, f"argument {number} of a callback of {name_of(step)}", begins=True)
                    return
                if number == 10 or number < 0:
                    return
                self._event(index, place, "never set in this function, which is called here", begins=True)
                return
            if depth:
                continue
            if number >= 0 and (effect.dst == number or (effect.clobbers and number in _ARGUMENTS)):
                self._note_end(before, index, place, calls)
                yield from self._wrote(index, number, place)
                return
            if effect.action is Action.CALL:
                calls.append(index)
            if number < 0 and self._touches(index, place):
                yield from self._stored(index, place)
                return
        self._at_entry(place, number)

    def _at_entry(self, place: str, number: int) -> None:
        if not self.is_whole or number == 10:
            return
        if self.function is not None and number in _ARGUMENTS:
            words = f"argument {number} of the global function {self.function}(), of which only the type is known"
        elif number == 1:
            words = "the context, as the program was given it"
        else:
            words = "never set on this way" if number >= 0 else "never written on this way"
        self._event(-1, place, words, begins=True)

    def _note_end(self, before: int, writer: int, place: str, calls: Sequence[int]) -> None:
        """Note which of *calls*, newest first, made a number of the pointer that *writer* had put into *place*."""
        then, now = self.frames[writer + 1].get(place), self._found(before, place)
        if then is None or now is None or then.is_scalar or not now.is_scalar:
            return
        reference = then.ref_obj_id or then.id
        for index in reversed(calls):
            arguments = [self._before(index, f"R{number}") for number in sorted(_ARGUMENTS)]
            is_given = reference is not None and any(
                state is not None and reference in {state.ref_obj_id, state.id} for state in arguments
            )
            if is_given or then.type.startswith("pkt"):
                what = "released by" if is_given else "undone by"
                self._event(index, place, f"{what} {name_of(self.steps[index])}: no pointer any more", begins=True)
                return

    def _found(self, index: int, place: str) -> RegisterState | None:
        """What the step found in *place*: the log may show it only behind the step that read it."""
        if index == len(self.steps) - 1:
            return self.frames[-1].get(place)
        effect = self.steps[index].effect
        if place != f"R{effect.dst}" and not effect.clobbers:
            return self._after(index, place) or self._before(index, place)
        return self._before(index, place)

    def _lost(self, index: int, place: str) -> None:
        words = f"lost in the call of {name_of(self.steps[index])}: R1 to R5 do not outlive a call"
        self._event(index, place, words, begins=True)

    def _wrote(self, index: int, number: int, place: str) -> Iterator[tuple[int, str]]:
        step = self.steps[index]
        effect = step.effect
        after = self._after(index, place)
        match effect.action:
            case Action.MOVE:
                self._event(index, place, f"copied from R{effect.source}" + _when_cast(step))
                yield index, f"R{effect.source}"
            case Action.CONSTANT:
                words = f"set to {after.describe() if after is not None else step.text.partition(' = ')[2]}"
                self._event(index, place, words, begins=True)
            case Action.CHANGE:
                known = "" if after is None or not after.is_scalar else f", now {after.describe()}"
                self._event(index, place, f"changed: {step.text}{known}")
                if effect.source is not None and effect.source != number:
                    operand = self._before(index, f"R{effect.source}")
                    if operand is None or operand.value is None or not operand.is_scalar:
                        yield index, f"R{effect.source}"
                yield index, place
            case Action.LOAD:
                yield from self._loaded(index, place, after)
            case Action.CALL if number == 0:
                self._event(index, place, _result(step, after), begins=True)
            case Action.CALL | Action.PACKET if number:
                self._lost(index, place)
            case _:
                known = "" if after is None else f", now {after.describe()}"
                self._event(index, place, f"set by {step.text}{known}", begins=True)

    def _loaded(self, index: int, place: str, after: RegisterState | None) -> Iterator[tuple[int, str]]:
        effect = self.steps[index].effect
        assert effect.base is not None
        slot = self._stack_slot(index, effect.base, effect.offset)
        if slot is not None:
            self._event(index, place, f"read back from the stack at {slot}")
            yield index, slot
            return
        base = self._before(index, f"R{effect.base}")
        memory = f"memory at R{effect.base}" if base is None else base.describe()
        known = "" if after is None else f": {after.describe()}"
        self._event(index, place, f"read from {memory}, offset {effect.offset}{known}", begins=True)

    def _stored(self, index: int, place: str) -> Iterator[tuple[int, str]]:
        step = self.steps[index]
        effect = step.effect
        if effect.action is Action.CALL:
            self._event(index, place, f"written by {name_of(step)}", begins=True)
        elif effect.action is Action.STORE and effect.source is not None and effect.size == 8:
            self._event(index, place, f"stored from R{effect.source}")
            yield index, f"R{effect.source}"
        else:
            self._event(index, place, f"written by {step.text}", begins=True)

    def _touches(self, index: int, place: str) -> bool:
        """Whether the step writes the stack slot *place*, by itself or through a helper."""
        step = self.steps[index]
        effect = step.effect
        if effect.action in {Action.STORE, Action.ATOMIC} and effect.base is not None:
            slot = self._stack_slot(index, effect.base, effect.offset)
            return slot is not None and _eight(int(slot[2:])) == _eight(int(place[2:]))
        if effect.action is Action.CALL:
            before, after = self._before(index, place), self._after(index, place)
            return after is not None and after.type == "bytes" and before != after
        return False

    def _stack_slot(self, index: int, base: int, offset: int) -> str | None:
        """The name of the stack slot that *base* + *offset* lies in, if that is an address of the own frame's stack."""
        if base == 10:
            return f"fp{offset}"
        state = self._before(index, f"R{base}")
        if state is None or state.type != "fp" or (state.value or 0) + offset >= 0:
            return None
        return f"fp{(state.value or 0) + offset}"

    def _before(self, index: int, place: str) -> RegisterState | None:
        return self.frames[index].get(place) if index < len(self.frames) else None

    def _after(self, index: int, place: str) -> RegisterState | None:
        for states in reversed(self.steps[index].states):
            if place in states.registers:
                return states.registers[place]
        return None


def _eight(offset: int) -> int:
    """The 8-byte slot of the stack that *offset* lies in."""
    return offset // 8


def name_of(step: Step) -> str:
    """What a call calls: "bpf_map_lookup_elem", "a function of the program"."""
    callee = step.effect.callee
    return "a function of the program" if callee.startswith("pc") else callee.partition("#")[0] or "a function"


def _when_cast(step: Step) -> str:
    return ", with its sign" if "(s" in step.text else ", its lower half" if step.text.startswith("w") else ""


def _result(step: Step, after: RegisterState | None) -> str:
    words = f"the result of {name_of(step)}"
    return words if after is None else f"{words}: {after.describe()}"
