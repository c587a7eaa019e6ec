"""The registers before each step of a path: what the log prints is only what changes (5.18), or all at times (5.10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from aiobpf.verifier.effects import Action
from aiobpf.verifier.registers import RegisterState, States, read_register, read_states

if TYPE_CHECKING:
    from aiobpf.verifier.path import Path, Step

Frame: TypeAlias = Mapping[str, RegisterState]
"""The registers and stack slots of one function call by name ("R1", "fp-8"); what is not known is not in it."""

_DEEPEST = 64
_LOST = tuple(f"R{number}" for number in range(6))
_FRAME_POINTER = {"R10": read_register("R10", "fp0")}


def frames_before(path: Path) -> Sequence[Frame]:
    """The registers before each step of *path*, and at last those that the final step found.

    A register that an instruction writes is unknown until the log says what it holds.
    """
    stack: list[dict[str, RegisterState]] = [dict(_FRAME_POINTER)]
    if not path.is_whole:  # it may begin inside a function
        first = next((states for step in path.steps for states in step.states if states.registers), None)
        stack += [dict(_FRAME_POINTER) for _ in range(min(first.frame, _DEEPEST) if first is not None else 0)]
    for text in path.before:
        _merge(stack, read_states(text))
    frames: list[Frame] = [dict(stack[-1])]
    for step in path.steps[:-1]:
        _execute(stack, step)
        for states in step.states:
            _merge(stack, states)
        frames.append(dict(stack[-1]))
    # What is printed behind the last step, which failed, is what it found, not what it made.
    for states in path.steps[-1].states if path.steps else ():
        _merge(stack, states)
    frames.append(dict(stack[-1]))
    return frames


def _execute(stack: list[dict[str, RegisterState]], step: Step) -> None:
    effect = step.effect
    frame = stack[-1]
    if step.entered:
        arguments = {name: frame[name] for name in _LOST[1:] if name in frame} if effect.is_bpf_call else {}
        _forget(frame, *_LOST)
        stack.append({**_FRAME_POINTER, **arguments})
    elif effect.action is Action.EXIT:
        result = frame.get("R0")
        if len(stack) > 1:
            stack.pop()
        _forget(stack[-1], *_LOST)
        if result is not None:
            stack[-1]["R0"] = result
    elif effect.clobbers:
        _forget(frame, *_LOST)
    elif effect.dst is not None:
        _forget(frame, f"R{effect.dst}")


def _forget(frame: dict[str, RegisterState], *names: str) -> None:
    for name in names:
        frame.pop(name, None)


def _merge(stack: list[dict[str, RegisterState]], states: States) -> None:
    # At a call and at a return both frames are printed; the one that was left is of no more use.
    if states.frame < len(stack):
        stack[states.frame].update(states.registers)
