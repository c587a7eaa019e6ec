"""What is known at one place of a program: registers, and what was put on the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from aiobpf.compatibility.values import ANY, NONZERO, SOMEWHERE_ON_STACK, UNDECIDED, Place, Value, join, narrowed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.compatibility.values import Unknown

FRAME: Final = Place(None, 0)
"""R10: the end of the function's stack, which lies below it."""


@final
class State:
    """Mutable; a copy goes to each place that follows.

    *stack* has values by their offset from R10, with the bytes they take; what is not in it may be anything. From
    *exposed* upwards others know the stack: a call may change it (0: nothing is known to others).
    """

    __slots__ = ("exposed", "registers", "stack")

    def __init__(self, registers: list[Value], stack: dict[int, tuple[int, Value]], exposed: int = 0) -> None:
        self.registers = registers
        self.stack = stack
        self.exposed = exposed

    @classmethod
    def at_entry(cls, arguments: Iterable[Value] = ()) -> State:
        """Where a function begins: *arguments* in R1 and up."""
        registers: list[Value] = [ANY] * 16  # a hostile instruction may name R15
        registers[10] = FRAME
        for number, value in enumerate(arguments, 1):
            # A pointer to the caller's stack is one to another frame than this function's.
            registers[number] = ANY if isinstance(value, Place) and value.memory is None else value
        return cls(registers, {})

    def copy(self) -> State:
        return State(self.registers[:], dict(self.stack), self.exposed)

    def merge(self, other: State, mixed: Unknown) -> bool:
        """Keep what holds in *other* too; whether anything changed."""
        changed = False
        for number, (mine, theirs) in enumerate(zip(self.registers, other.registers, strict=True)):
            if mine != theirs:
                joined = join(mine, theirs, mixed)
                if joined != mine:
                    self.registers[number] = joined
                    changed = True
        for offset, (size, mine) in list(self.stack.items()):
            found = other.stack.get(offset)
            joined = ANY if found is None or found[0] != size else join(mine, found[1], mixed)
            if joined is ANY:
                del self.stack[offset]
                changed = True
            elif joined != mine:
                self.stack[offset] = (size, joined)
                changed = True
        if other.exposed < self.exposed:
            self.exposed = other.exposed
            changed = True
        return changed

    # --- memory -------------------------------------------------------------------------------------------------------

    def store(self, at: Value, distance: int, size: int, value: Value) -> None:
        """*size* bytes of *value* at *at* + *distance*."""
        if isinstance(value, Place) and value.memory is None:
            self._expose(value)  # whoever reads it there may write to it
        if not isinstance(at, Place) or at.memory is not None:
            return
        if at.offset is None:
            self.stack.clear()
            return
        offset = at.offset + distance
        self.forget(offset, offset + size)
        if value is ANY or (size < 8 and not isinstance(value, int) and value is not UNDECIDED):
            return
        self.stack[offset] = (size, narrowed(value, size * 8) if size < 8 else value)

    def load(self, at: Place, distance: int, size: int) -> Value:
        """What was stored there in one piece of that size; a piece of a larger one only if that is zero."""
        if at.offset is None:
            return ANY
        start = at.offset + distance
        found = self.stack.get(start)
        if found is not None and found[0] == size:
            return found[1]
        for offset, (length, value) in self.stack.items():
            if value == 0 and offset <= start and start + size <= offset + length:
                return 0
        return ANY

    def forget(self, start: int, end: int) -> None:
        """Whatever lies between the two offsets from R10 has changed."""
        for offset, (size, _) in list(self.stack.items()):
            if offset < end and offset + size > start:
                del self.stack[offset]

    def _expose(self, place: Place) -> None:
        offset = -(1 << 15) if place.offset is None else place.offset
        self.exposed = min(self.exposed, offset)

    def call(self) -> None:
        """Something was called: it has changed R0 to R5, and what it knew of the stack.

        A pointer to the stack goes with the size of what it points to, if that follows it; else what begins there may
        be as long as the stack.
        """
        for number in range(1, 6):
            value = self.registers[number]
            if isinstance(value, Place) and value.memory is None:
                size = self.registers[number + 1] if number < 5 else ANY
                if value == SOMEWHERE_ON_STACK or value.offset is None:
                    self.stack.clear()
                elif isinstance(size, int) and 0 < size <= 512:
                    self.forget(value.offset, value.offset + size)
                else:
                    self.forget(value.offset, 0)
        if self.exposed:
            self.forget(self.exposed, 0)
        for number in range(6):
            self.registers[number] = ANY

    def refine(self, register: int, value: Value) -> None:
        """A branch has shown what a register holds."""
        if self.registers[register] is ANY or (self.registers[register] is NONZERO and value != 0):
            self.registers[register] = value
