"""Which instructions of a program the verifier gets to, in a kernel whose constants are known.

CO-RE, weak symbols, frozen data and the configuration are constants to the verifier: it folds them and never looks at
the side of a branch that is not taken. So code that needs what a kernel lacks does no harm behind
``if (bpf_core_field_exists(...))``, and a load's fate hangs on what can be reached. This walk folds the same constants,
along the same calls, and takes both sides where the verifier would.

It knows less than the verifier, which also tracks ranges: what it finds reached may be dead to the verifier in a rare
case. It never takes a constant for granted that the verifier does not have.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final, final

from attrs import field, frozen

from aiobpf.asm import SYMBOL, CallKind
from aiobpf.asm import opcodes as op
from aiobpf.btf import FUNCTION_INFO, Linkage
from aiobpf.compatibility.state import State
from aiobpf.compatibility.values import ANY, NONZERO, UNDECIDED, Place, Unknown, Value, compare, compute, join, signed
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from aiobpf.asm import Instructions

_BUDGET: Final = 500_000
"""Instructions walked, all visits counted: a second or so. Loops end by themselves, since values only get vaguer."""
_BUDGET_OF_ALL: Final = 4_000_000
"""Of all programs of an object: real ones take some ten thousand each."""
_SLOT: Final = struct.Struct("<BBhi")
_SIZES: Final = {op.SIZE_B: 1, op.SIZE_H: 2, op.SIZE_W: 4, op.SIZE_DW: 8}


class Reach(Enum):
    """Whether the verifier gets to an instruction."""

    NEVER = "never"
    UNDECIDED = "undecided"
    """That depends on something that is not known here."""
    CERTAIN = "certain"


@frozen
class Memory:
    """The read-only value of a map: *data*, and which of its bytes are known (None: all)."""

    data: bytes
    known: bytes | None = None


@frozen
class Refused:
    """An instruction that the verifier does not let pass. Had it been a good one, it would have set the register *dst*
    (None: it is a call) and taken *width* slots: the walk goes on behind it, to find the others."""

    dst: int | None = None
    width: int = 1


@frozen
class Constants:
    """What one kernel makes of a program: *loads* are the values of 64-bit loads of addresses, by slot; *memories* the
    frozen maps, by name; *refused* the instructions that the verifier refuses when it gets there, by slot."""

    loads: Mapping[int, Value] = field(factory=dict)
    memories: Mapping[str, Memory] = field(factory=dict)
    refused: Mapping[int, Refused] = field(factory=dict)
    byte_order: Literal["little", "big"] = "little"
    is_lazy: bool | None = True
    """Whether global functions are verified only when they are called (6.8, 2afae08c9dcb); None: not known."""


@final
class Budget:
    """What the programs of one object may cost together."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _BUDGET_OF_ALL

    @property
    def share(self) -> int:
        """What the next program may cost."""
        return min(_BUDGET, self._left)

    def spend(self, steps: int) -> None:
        self._left = max(self._left - steps, 0)


def reach(instructions: Instructions, constants: Constants, budget: Budget | None = None) -> dict[int, Reach]:
    """For each refused instruction, whether the verifier gets there. *budget* is that of the whole object.

    Invariant: any instructions give an answer after bounded work; what is too large for it is UNDECIDED.
    """
    if not constants.refused:
        return {}
    try:
        code = instructions.encode("little")
    except AsmError:  # a function is missing: the loader will say so
        return dict.fromkeys(constants.refused, Reach.UNDECIDED)
    functions, others = _functions(instructions)
    budget = budget or Budget()
    try:
        found = _outcome(code, functions, constants, [0, *(others if constants.is_lazy is False else ())], budget)
        if constants.is_lazy is None and others:
            strict = _outcome(code, functions, constants, [0, *others], budget)
            found = {slot: each if each is strict[slot] else Reach.UNDECIDED for slot, each in found.items()}
    except _GaveUpError:
        return dict.fromkeys(constants.refused, Reach.UNDECIDED)
    return found


def _functions(instructions: Instructions) -> tuple[list[int], list[int]]:
    """The slots where functions begin, and those of the global ones, which are verified for any argument."""
    starts = sorted({0, *(slot for slot, _ in instructions.with_key_by_slot(SYMBOL))})
    known = dict(instructions.with_key_by_slot(FUNCTION_INFO))
    others = [slot for slot in starts[1:] if slot in known and known[slot].linkage == Linkage.GLOBAL]
    return starts, others


def _outcome(
    code: bytes, functions: list[int], constants: Constants, roots: list[int], budget: Budget
) -> dict[int, Reach]:
    walk = _walked(_Walk(code, functions, constants, roots, ANY, budget.share), budget)
    if walk.undecided:
        # Where constants differ for what is not known here, what follows from them is not known either.
        walk = _walked(_Walk(code, functions, constants, roots, UNDECIDED, budget.share), budget)
    answers = {}
    for slot in constants.refused:
        block = walk.reached.get(slot)
        if block is None:
            answers[slot] = Reach.NEVER
        else:
            answers[slot] = Reach.CERTAIN if walk.is_certain(block) else Reach.UNDECIDED
    return answers


def _walked(walk: _Walk, budget: Budget) -> _Walk:
    try:
        walk.run()
    finally:
        budget.spend(walk.spent)
    return walk


class _GaveUpError(Exception):
    """The program is too large, or jumps where only the kernel knows."""


@final
class _Walk:
    """Block by block until nothing changes. A block is named by the slot where it begins."""

    def __init__(
        self,
        code: bytes,
        functions: list[int],
        constants: Constants,
        roots: list[int],
        mixed: Unknown,
        limit: int,
    ) -> None:
        self._code = code
        self._slots = len(code) // 8
        self._functions = functions
        self._globals = set(roots[1:])
        self._constants = constants
        self._refused = constants.refused
        self._mixed = mixed
        self._roots = roots
        self._states: dict[int, State] = {}
        self._pending: deque[int] = deque()
        self._queued: set[int] = set()
        self._results: dict[int, Value] = {}
        self._continuations: dict[int, dict[int, State]] = {}
        self._leaders = self._find_leaders()
        self._limit = limit
        self.spent = 0
        self.edges: dict[int, set[int]] = {}
        self.undecided: set[int] = set()
        """Blocks that end in a branch which is not known here, though the verifier takes one side."""
        self.reached: dict[int, int] = {}
        """The block of each refused instruction that is reached."""

    def run(self) -> None:
        for root in self._roots:
            self._arrive(root, State.at_entry())
        while self._pending:
            block = self._pending.popleft()
            self._queued.discard(block)
            self._walk_block(block, self._states[block].copy())

    def is_certain(self, target: int) -> bool:
        """Whether the verifier gets to that block whatever it is that is not known here.

        A game on the edges: where the verifier takes both sides, one that leads there is enough; at a branch that is
        not decided here, both must.
        """
        if not self.undecided:
            return True
        before: dict[int, list[int]] = {}
        for block, after in self.edges.items():
            for each in after:
                before.setdefault(each, []).append(block)
        left = {block: len(self.edges[block]) for block in self.undecided}
        sure = {target}
        pending = [target]
        while pending:
            for block in before.get(pending.pop(), ()):
                self._spend()
                if block in sure:
                    continue
                if block in left:
                    left[block] -= 1
                    if left[block]:
                        continue
                sure.add(block)
                pending.append(block)
        return any(root in sure for root in self._roots)

    def _spend(self) -> None:
        self.spent += 1
        if self.spent > self._limit:
            raise _GaveUpError

    def _find_leaders(self) -> set[int]:
        leaders = set(self._functions)
        slot = 0
        while slot < self._slots:
            opcode, _, offset, constant = _SLOT.unpack_from(self._code, slot * 8)
            if opcode in op.OFFSET_JUMPS:
                leaders |= {slot + 1 + offset, slot + 1}
            elif opcode == op.GOTOL_OP:
                leaders |= {slot + 1 + constant, slot + 1}
            elif opcode in {op.CALL_OP, op.EXIT_OP}:
                leaders.add(slot + 1)
            slot += 2 if opcode == op.LD_IMM64 else 1
        return leaders

    def _arrive(self, slot: int, state: State, origin: int | None = None) -> None:
        """*state* may hold at *slot*, coming from the block *origin*."""
        if origin is not None:
            self.edges.setdefault(origin, set()).add(slot)
        if not 0 <= slot < self._slots:
            return  # the verifier refuses it, for another reason
        known = self._states.get(slot)
        if known is None:
            self._states[slot] = state
        elif not known.merge(state, self._mixed):
            return
        if slot not in self._queued:
            self._queued.add(slot)
            self._pending.append(slot)

    def _walk_block(self, block: int, state: State) -> None:
        slot = block
        while slot < self._slots:
            self._spend()
            refused = self._refused.get(slot)
            if refused is not None:
                self.reached[slot] = block
                if refused.dst is None:
                    state.call()
                else:
                    state.registers[refused.dst] = ANY
                slot += refused.width
                if slot in self._leaders:
                    self._arrive(slot, state, block)
                    return
                continue
            opcode, registers, offset, constant = _SLOT.unpack_from(self._code, slot * 8)
            dst, src = registers & 15, registers >> 4
            kind = opcode & 0x07
            width = 1
            if kind in {op.ALU, op.ALU64}:
                operand = state.registers[src] if opcode & op.X else constant & 0xFFFF_FFFF_FFFF_FFFF
                state.registers[dst] = compute(opcode, state.registers[dst], operand, offset)
            elif kind == op.LDX:
                state.registers[dst] = self._load(opcode, state, src, offset)
            elif kind in {op.ST, op.STX}:
                self._store(opcode, state, dst, src, offset, constant)
            elif opcode == op.LD_IMM64:
                width = 2
                self._load_wide(block, state, slot, dst, src)
            elif kind == op.LD:  # a packet's bytes; R1 to R5 are lost
                state.registers[:6] = [ANY] * 6
            elif self._leave(opcode, block, state, slot, dst, src, offset, constant):
                return
            slot += width
            if slot in self._leaders:
                self._arrive(slot, state, block)
                return

    # --- memory -------------------------------------------------------------------------------------------------------

    def _load(self, opcode: int, state: State, src: int, offset: int) -> Value:
        at = state.registers[src]
        if opcode & 0xE0 not in {op.MEM, op.MEMSX} or not isinstance(at, Place):
            return UNDECIDED if at is UNDECIDED else ANY
        size = _SIZES[opcode & 0x18]
        if at.memory is None:
            value = state.load(at, offset, size)
        else:
            memory = self._constants.memories.get(at.memory)
            if memory is None or at.offset is None:
                return ANY
            start = at.offset + offset
            if not 0 <= start <= len(memory.data) - size:
                return ANY
            if memory.known is not None and not all(memory.known[start : start + size]):
                return UNDECIDED
            value = int.from_bytes(memory.data[start : start + size], self._constants.byte_order)
        if opcode & 0xE0 == op.MEMSX and isinstance(value, int):
            return signed(value, size * 8) & 0xFFFF_FFFF_FFFF_FFFF
        return value

    @staticmethod
    def _store(opcode: int, state: State, dst: int, src: int, offset: int, constant: int) -> None:
        size, mode = _SIZES[opcode & 0x18], opcode & 0xE0
        is_register = opcode & 0x07 == op.STX
        value: Value = state.registers[src] if is_register else constant & 0xFFFF_FFFF_FFFF_FFFF
        if mode != op.ATOMIC:
            state.store(state.registers[dst], offset, size, value)
            return
        if constant == op.LOAD_ACQUIRE:
            state.registers[dst] = ANY
            return
        state.store(state.registers[dst], offset, size, ANY)
        if constant == op.CMPXCHG:
            state.registers[0] = ANY
        elif constant & op.FETCH:
            state.registers[src] = ANY

    def _load_wide(self, block: int, state: State, slot: int, dst: int, src: int) -> None:
        if slot + 1 >= self._slots:
            return
        low = int.from_bytes(self._code[slot * 8 + 4 : slot * 8 + 8], "little")
        high = int.from_bytes(self._code[slot * 8 + 12 : slot * 8 + 16], "little")
        value = self._constants.loads.get(slot)
        if value is None:
            value = high << 32 | low if src == op.Pseudo.NONE else NONZERO
        state.registers[dst] = value
        if src == op.Pseudo.FUNC:
            # A callback: whoever gets it may call it, with what the verifier makes up.
            self._arrive(slot + 1 + signed(low, 32), State.at_entry(), block)

    # --- where it goes on ---------------------------------------------------------------------------------------------

    def _leave(
        self, opcode: int, block: int, state: State, slot: int, dst: int, src: int, offset: int, constant: int
    ) -> bool:
        """A jump, call or exit; True where the block ends."""
        if opcode == op.CALL_OP:
            if src == CallKind.FUNCTION:
                self._call(block, state, slot, slot + 1 + constant)
                return True
            state.call()
            return False
        if opcode == op.CALLX_OP:
            state.call()
            return False
        if opcode == op.EXIT_OP:
            self._return(block, state.registers[0])
            return True
        if opcode == op.GOTOX_OP:
            raise _GaveUpError
        if opcode in {op.JA_OP, op.GOTOL_OP}:
            self._arrive(slot + 1 + (offset if opcode == op.JA_OP else constant), state, block)
            return True
        operand = state.registers[src] if opcode & op.X else constant & 0xFFFF_FFFF_FFFF_FFFF
        taken: bool | Unknown = ANY
        if opcode != op.MAY_GOTO_OP:
            taken = compare(opcode, state.registers[dst], operand)
        if taken is UNDECIDED:
            self.undecided.add(block)
        else:
            self.undecided.discard(block)
        if taken is not False:
            other = state.copy()
            if taken is not True and opcode == op.JMP | op.JEQ | op.K:
                other.refine(dst, operand)
            if taken is not True and opcode == op.JMP | op.JNE | op.K and constant == 0:
                other.refine(dst, NONZERO)
            self._arrive(slot + 1 + offset, other, block)
        if taken is not True:
            if taken is not False and opcode == op.JMP | op.JNE | op.K:
                state.refine(dst, operand)
            if taken is not False and opcode == op.JMP | op.JEQ | op.K and constant == 0:
                state.refine(dst, NONZERO)
            self._arrive(slot + 1, state, block)
        return True

    def _call(self, block: int, state: State, slot: int, callee: int) -> None:
        arguments = () if callee in self._globals else tuple(state.registers[1:6])
        self._arrive(callee, State.at_entry(arguments), block)
        state.call()
        waiting = self._continuations.setdefault(callee, {})
        known = waiting.get(slot)
        if known is None:
            waiting[slot] = state.copy()
        else:
            known.merge(state, self._mixed)
        self.edges.setdefault(block, set()).add(slot + 1)
        if callee in self._results:
            self._continue(callee, slot)

    def _return(self, block: int, value: Value) -> None:
        """A function returns *value*: everyone who called it goes on."""
        function = self._functions[bisect_right(self._functions, block) - 1]
        if function in self._globals or isinstance(value, Place):
            value = ANY
        known = self._results.get(function)
        joined = value if known is None else join(known, value, self._mixed)
        if known is not None and joined == known:
            return
        self._results[function] = joined
        for slot in self._continuations.get(function, ()):
            self._continue(function, slot)

    def _continue(self, callee: int, slot: int) -> None:
        state = self._continuations[callee][slot].copy()
        state.registers[0] = self._results[callee]
        self._arrive(slot + 1, state)
