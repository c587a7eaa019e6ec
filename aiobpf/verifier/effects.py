"""What an instruction does to registers and memory, read from the verifier's own disassembly.

The log is enough: no program has to be at hand to follow a value through it. Source: print_bpf_insn() in
kernel/bpf/disasm.c, whose forms have only grown since 5.10.
"""

from __future__ import annotations

import re
from enum import Enum

from attrs import frozen


class Action(Enum):
    """What kind of thing an instruction does to *dst*."""

    MOVE = "move"
    CONSTANT = "constant"
    CHANGE = "change"
    LOAD = "load"
    STORE = "store"
    ATOMIC = "atomic"
    CALL = "call"
    """Of a helper or kernel function, or of a function of the program: `Effect.is_bpf_call` tells which."""
    PACKET = "packet"
    JUMP = "jump"
    EXIT = "exit"
    OTHER = "other"


@frozen
class Effect:
    """The registers that an instruction reads and the one it writes, by number.

    For a memory access *base*, *offset* and *size* (bytes) say where; *source* is the register that is copied, stored
    or combined into *dst*. A call writes R0 and leaves R1 to R5 without a value.
    """

    action: Action
    dst: int | None = None
    source: int | None = None
    base: int | None = None
    offset: int = 0
    size: int = 8
    callee: str = ""
    reads: tuple[int, ...] = ()

    @property
    def is_bpf_call(self) -> bool:
        return self.action is Action.CALL and self.callee.startswith("pc")

    @property
    def clobbers(self) -> bool:
        """Whether R1 to R5 hold nothing afterwards."""
        return self.action in {Action.CALL, Action.PACKET}


_REGISTER = re.compile(r"\b[rw](10|\d)\b")
_MEMORY = r"\*?\(?\(?(?P<sign>[us])(?P<bits>8|16|32|64) \*\)\(r(?P<base>10|\d) (?P<offset>[+-]\d{1,6})\)\)?"
_LOAD = re.compile(rf"[rw](?P<dst>10|\d) = (?P<atomic>\w*)(?:\()?{_MEMORY}(?:, (?P<rest>.*))?")
_STORE = re.compile(rf"{_MEMORY} = (?:[rw](?P<source>10|\d)|(?P<constant>-?\w+))")
_LOCK = re.compile(rf"(?:lock |store_release\(){_MEMORY}(?: \S+=|,) [rw](?P<source>10|\d)")
_MOVE = re.compile(r"(?P<wide>[rw])(?P<dst>10|\d) = (?:\(s(?:8|16|32)\))?[rw](?P<source>10|\d)$")
_CHANGE = re.compile(r"[rw](?P<dst>10|\d) (?:s?(?:[-+*/|&%^]|<<|>>)=) (?:[rw](?P<source>10|\d)|-?\w+)$")
_CONSTANT = re.compile(r"[rw](?P<dst>10|\d) = (?P<constant>\S.*)$")
_CALL = re.compile(r"call (?P<callee>\S+)")
_LONGEST = 200
_ARGUMENTS = (1, 2, 3, 4, 5)


def effect_of(text: str) -> Effect:
    """What the instruction does that is printed as *text* ("r2 += -4"); any text gives an Effect."""
    text = text[:_LONGEST]
    reads = tuple(dict.fromkeys(int(number) for number in _REGISTER.findall(text)))
    if text.startswith("exit"):
        return Effect(Action.EXIT, reads=(0,))
    if match := _CALL.match(text):
        return Effect(Action.CALL, 0, callee=match["callee"], reads=_ARGUMENTS)
    if text.startswith(("if ", "goto", "may_goto", "callx")):
        return Effect(Action.JUMP, reads=reads)
    if "skb[" in text:
        return Effect(Action.PACKET, 0, reads=(6, *(number for number in reads if number != 0)))
    if match := _STORE.match(text):
        source = match["source"]
        return Effect(Action.STORE, None, _int(source), *_place(match), reads=reads)
    if match := _LOCK.match(text):
        return Effect(Action.ATOMIC, None, _int(match["source"]), *_place(match), reads=reads)
    if match := _LOAD.match(text):
        dst = int(match["dst"])
        is_plain = not match["atomic"] or match["atomic"] == "load_acquire"
        action = Action.LOAD if is_plain else Action.ATOMIC
        base, offset, size = _place(match)
        return Effect(action, dst, None, base, offset, size, reads=(base,) if is_plain else reads)
    if match := _MOVE.match(text):
        return Effect(Action.MOVE, int(match["dst"]), int(match["source"]), reads=(int(match["source"]),))
    if match := _CHANGE.match(text):
        return Effect(Action.CHANGE, int(match["dst"]), _int(match["source"]), reads=reads)
    if match := _CONSTANT.match(text):
        dst = int(match["dst"])
        if _REGISTER.search(match["constant"]):  # r1 = -r1, r1 = be16 r1, r1 = addr_space_cast(r2, 0, 1)
            source = int(_REGISTER.findall(match["constant"])[0])
            if source != dst:
                return Effect(Action.MOVE, dst, source, reads=(source,))
            return Effect(Action.CHANGE, dst, reads=(dst,))
        return Effect(Action.CONSTANT, dst)
    return Effect(Action.OTHER, reads=reads)


def _place(match: re.Match[str]) -> tuple[int, int, int]:
    return int(match["base"]), int(match["offset"]), int(match["bits"]) // 8


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)
