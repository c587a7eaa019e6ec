"""A program: packed slots, and columns of metadata beside them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, MutableSequence, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeVar, final, overload

from aiobpf.asm.columns import Column, Run
from aiobpf.asm.displacement import Retargeting, pointer_at
from aiobpf.asm.instruction import Instruction, canonical_constant, check_fields, make_instruction
from aiobpf.asm.metadata import EMPTY, Key, Metadata
from aiobpf.asm.opcodes import LD_IMM64
from aiobpf.asm.references import LABEL, REFERENCE, SYMBOL
from aiobpf.asm.resolution import resolve
from aiobpf.asm.slots import Slots
from aiobpf.asm.wire import ByteOrder, pack, swapped
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


@final
class Instructions(MutableSequence[Instruction]):
    """A mutable sequence of `Instruction`, held as wire slots and sparse columns of metadata.

    An index counts instructions; a *slot* counts units of eight bytes, of which a 64-bit immediate load takes two. The
    kernel, BTF ext infos and jumps count slots. Instruction objects are made when they are asked for.

    Inserting and removing in the middle keeps every numeric jump and call on the instruction it went to, and all
    metadata on its instruction; the caller fixes nothing. A jump to what is removed goes to what takes its place. What
    is put in is taken as written for the place it comes to, and so is what is put behind the end.
    """

    __slots__ = ("_columns", "_slots")

    _slots: Slots
    _columns: dict[Key[Any], Column[Any]]

    def __init__(self, instructions: Iterable[Instruction] = ()) -> None:
        self._slots = Slots()
        self._columns = {}
        self.extend(instructions)

    @classmethod
    def _of(cls, slots: Slots, columns: dict[Key[Any], Column[Any]]) -> Instructions:
        self = cls.__new__(cls)
        self._slots = slots
        self._columns = columns
        return self

    # --- bytes --------------------------------------------------------------------------------------------------------

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview, byte_order: ByteOrder = "little") -> Instructions:
        """Instructions of the wire slots in *data* (struct bpf_insn, 8 bytes each), with no metadata.

        Any opcode is taken, known here or not: the kernel is the judge of those. Raises AsmError if *data* is no whole
        number of slots, or a 64-bit immediate load lacks its second half.
        """
        return cls._of(Slots.decode(data, byte_order), {})

    def encode(self, byte_order: ByteOrder = "little") -> bytes:
        """The wire slots, functions and labels that are referred to by name turned into distances.

        References to maps, kfuncs and other externs are encoded as their instruction stands: the loader patches those.
        Raises AsmError naming the symbol if a function or label is not in the program, or is there twice.
        """
        code = self._slots.code
        references = self._columns.get(REFERENCE)
        if references is not None:
            code = code[:]
            resolve(code, references, self._columns.get(SYMBOL), self._columns.get(LABEL))
        if byte_order == "big":
            return bytes(swapped(code))
        if byte_order != "little":
            raise ValueError(f"byte order {byte_order!r} is neither 'little' nor 'big'")
        return bytes(code)

    def tag(self, sha: Literal["sha1", "sha256"] = "sha1", byte_order: ByteOrder = "little") -> bytes:
        """The kernel's tag of this program, 8 bytes: see `aiobpf.asm.tag`."""
        from aiobpf.asm.tag import program_tag

        return program_tag(self.encode(), sha, byte_order)

    def digest(self, byte_order: ByteOrder = "little") -> bytes:
        """The SHA-256 that kernels since 6.18 know this program by, 32 bytes: see `aiobpf.asm.tag`."""
        from aiobpf.asm.tag import program_digest

        return program_digest(self.encode(), "sha256", byte_order)

    # --- indices and slots --------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._slots.count

    @property
    def slot_count(self) -> int:
        """Slots of eight bytes: what the kernel calls insn_cnt."""
        return self._slots.slot_count

    def slot_of(self, index: int) -> int:
        """The slot where instruction *index* begins; the end for an index of the length."""
        return self._slots.slot_count if index == self._slots.count else self._slot(index)

    def index_of_slot(self, slot: int) -> int:
        """The index of the instruction that begins at *slot*; AsmError if none does."""
        return self._slots.index_of(slot)

    def at_slot(self, slot: int) -> Instruction:
        """The instruction that begins at *slot*; AsmError if none does."""
        self._slots.index_of(slot)
        return make_instruction(*self._slots.fields(slot), self._metadata_at(slot))

    def _slot(self, index: SupportsIndex) -> int:
        """The slot of an instruction that is there."""
        i, count = index.__index__(), self._slots.count
        if i < 0:
            i += count
        if not 0 <= i < count:
            raise IndexError(f"instruction {index} of {count}")
        return self._slots.slot_of(i)

    # --- reading ------------------------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, index: SupportsIndex) -> Instruction: ...
    @overload
    def __getitem__(self, index: slice) -> Instructions: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Instruction | Instructions:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return Instructions(self[i] for i in range(start, stop, step))
            lo, hi = self._slots.slot_of(start), self._slots.slot_of(max(start, stop))
            columns = {key: column.extract(lo, hi) for key, column in self._columns.items()}
            return Instructions._of(
                self._slots.cut(lo, hi), {key: column for key, column in columns.items() if not column.is_empty}
            )
        slot = self._slot(index)
        return make_instruction(*self._slots.fields(slot), self._metadata_at(slot))

    def _metadata_at(self, slot: int) -> Metadata:
        items: list[object] = []
        for key, column in self._columns.items():
            value = column.get(slot)
            if value is not None:
                items += (key, value)
        return Metadata(tuple(items)) if items else EMPTY

    def __iter__(self) -> Iterator[Instruction]:
        """Each instruction, as the program is now: a change on the way is not seen."""
        columns = [(key, column.items()) for key, column in self._columns.items()]
        heads: list[list[Any]] = [[*next(items, (-1, None)), key, items] for key, items in columns]
        heads = [head for head in heads if head[0] >= 0]
        nearest: int = min((head[0] for head in heads), default=-1)
        for slot, opcode, dst, src, offset, constant in self._slots.all_fields():
            metadata = EMPTY
            if slot == nearest:
                found: list[object] = []
                for head in heads:
                    if head[0] == slot:
                        found += (head[2], head[1])
                        head[:2] = next(head[3], (-1, None))
                heads = [head for head in heads if head[0] >= 0]
                nearest = min((head[0] for head in heads), default=-1)
                metadata = Metadata(tuple(found))
            yield make_instruction(opcode, dst, src, offset, constant, metadata)

    def fields(self, index: int) -> tuple[int, int, int, int, int]:
        """(opcode, dst, src, offset, constant) of an instruction: all but its metadata, and no object made."""
        return self._slots.fields(self._slot(index))

    def find(self, opcode: int, src: int | None = None) -> Iterator[int]:
        """The indices of the instructions of this *opcode* (and source register), at the speed of a byte search."""
        return self._slots.find(opcode, src)

    def target_of(self, index: int) -> int | None:
        """The index of the instruction that a numeric jump, call or function address at *index* points to.

        None if it points nowhere: for other instructions, and for those with a reference, where the name decides.
        Raises AsmError if the distance leads to no instruction.
        """
        slot = self._slot(index)
        references = self._columns.get(REFERENCE)
        if references is not None and references.get(slot) is not None:
            return None
        pointer = pointer_at(self._slots.code, slot)
        return None if pointer is None else self.index_of_slot(pointer.target)

    def functions(self) -> dict[str, range]:
        """The indices of each function: from its symbol to the next one. AsmError if two have one name."""
        functions: dict[str, range] = {}
        for (start, name), (end, _) in pairwise([*self.with_key(SYMBOL), (len(self), "")]):
            if name in functions:
                raise AsmError(f"function {name!r} is there twice, at instructions {functions[name].start} and {start}")
            functions[name] = range(start, end)
        return functions

    def references(self) -> dict[str, list[int]]:
        """The indices of the instructions that refer to each name."""
        references: dict[str, list[int]] = {}
        for index, reference in self.with_key(REFERENCE):
            references.setdefault(reference.name, []).append(index)
        return references

    # --- metadata -----------------------------------------------------------------------------------------------------

    def metadata(self, index: int) -> Metadata:
        """All metadata of one instruction."""
        return self._metadata_at(self._slot(index))

    def get_metadata(self, index: int, key: Key[T]) -> T | None:
        """One value of one instruction, or None."""
        column: Column[T] | None = self._columns.get(key)
        return None if column is None else column.get(self._slot(index))

    def set_metadata(self, index: int, key: Key[T], value: T | None) -> None:
        """Put *value* under *key*; None takes the key away."""
        self._set(self._slot(index), key, value)

    def _set(self, slot: int, key: Key[T], value: T | None) -> None:
        column: Column[T] | None = self._columns.get(key)
        if value is not None:
            if column is None:
                column = self._columns[key] = Column()
            column.set(slot, value)
        elif column is not None:
            column.discard(slot)
            if column.is_empty:
                del self._columns[key]

    def map_metadata(self, key: Key[T], change: Callable[[int, T], T | None]) -> None:
        """Give every instruction that has a value under *key* what *change* makes of its index and value.

        None takes the value away. Operations may be changed on the way, but none may be put in or taken out.
        """
        slots: array[int] = array("I")
        values: list[T] = []
        for (index, value), (slot, _) in zip(self.with_key(key), self.with_key_by_slot(key), strict=True):
            changed = change(index, value)
            if changed is not None:
                slots.append(slot)
                values.append(changed)
        self._columns.pop(key, None)
        self.attach_slots(key, slots, values)

    def metadata_keys(self) -> list[Key[object]]:
        """The keys that any instruction has a value for."""
        return list(self._columns)

    def with_key(self, key: Key[T]) -> Iterator[tuple[int, T]]:
        """(index, value) of every instruction that has *key*, in order; no Instruction is made.

        Shows the values of the moment it is called; values and operations may be changed on the way.
        """
        column: Column[T] | None = self._columns.get(key)
        if column is None:
            return iter(())
        if not self._slots.wide_slots:
            return column.items()
        return _indexed(column.items(), self._slots.wide_slots[:])

    def with_key_by_slot(self, key: Key[T]) -> Iterator[tuple[int, T]]:
        """As `with_key`, with the slot for the index."""
        column: Column[T] | None = self._columns.get(key)
        return iter(()) if column is None else column.items()

    def windows(self, key: Key[T]) -> list[Run[T]] | None:
        """The values of *key* as they were attached in bulk, where that is all there is: None if any was set alone.

        For a reader that knows what the sequences are, and takes them whole.
        """
        column: Column[T] | None = self._columns.get(key)
        return [] if column is None else column.windows()

    def attach_column(self, key: Key[T], indices: Sequence[int], values: Sequence[T]) -> None:
        """Give each of *indices* (ascending) its value under *key*, over what is there.

        *values* is kept as it is and read item by item when someone looks, so it may decode on access; it must not
        change. Raises AsmError if the indices do not ascend or leave the program, or the lengths differ.
        """
        self.attach_slots(key, array("I", [self._slot(index) for index in indices]), values)

    def attach_slots(
        self,
        key: Key[T],
        slots: array[int],
        values: Sequence[T],
        *,
        start: int = 0,
        stop: int | None = None,
        base: int = 0,
    ) -> None:
        """As `attach_column` for entries *start* to *stop*, entry i at slot ``base + slots[i]``; nothing is copied.

        So the records of an ELF section are decoded once, and each of its functions takes its window of them with a
        *base* of minus its own first slot. Raises AsmError for a place where no instruction begins.
        """
        if stop is None:
            stop = len(slots)
        if len(slots) != len(values) or not 0 <= start <= stop <= len(slots):
            raise AsmError(f"{len(slots)} places for {len(values)} values of {key.name}, of which {start} to {stop}")
        if start == stop:
            return
        column: Column[T] = self._columns.get(key) or Column()
        first, last = base + slots[start], base + slots[stop - 1]
        if first < 0 or last >= self.slot_count:
            raise AsmError(f"{key.name} at slots {first} to {last}, in a program of {self.slot_count}")
        for wide in self._slots.wide_slots:
            i = bisect_left(slots, wide + 1 - base, start, stop)
            if i < stop and slots[i] == wide + 1 - base:
                raise AsmError(f"{key.name} at slot {wide + 1}, the second half of a 64-bit immediate load")
        column.attach(base, slots, values, start, stop)
        self._columns[key] = column

    # --- changing operations ------------------------------------------------------------------------------------------

    def patch(
        self,
        index: int,
        *,
        constant: int | None = None,
        offset: int | None = None,
        src: int | None = None,
        dst: int | None = None,
        opcode: int | None = None,
    ) -> None:
        """Change fields of an instruction, and not its width; its metadata stays. AsmError if a value does not fit."""
        slot = self._slot(index)
        old_opcode, old_dst, old_src, old_offset, old_constant = self._slots.fields(slot)
        if opcode is None:
            opcode = old_opcode
        elif (opcode == LD_IMM64) != (old_opcode == LD_IMM64):
            raise AsmError(f"instruction {index}: patching cannot change the width; use replace_operation")
        dst = old_dst if dst is None else dst
        src = old_src if src is None else src
        offset = old_offset if offset is None else offset
        check_fields(opcode, dst, src, offset)
        constant = old_constant if constant is None else canonical_constant(opcode, constant)
        self._slots.overwrite(slot, pack(opcode, dst, src, offset, constant))

    def replace_operation(self, index: int, instruction: Instruction) -> None:
        """Make *index* do what *instruction* does, and keep the metadata that is there: always.

        The one way to poison an instruction: its symbol, function info and source line stay. If the width changes,
        jumps follow.
        """
        slot = self._slot(index)
        width = self._slots.width_at(slot)
        if instruction.width == width:
            self._slots.overwrite(slot, pack(*instruction.fields))
            return
        kept = [(key, column.get(slot)) for key, column in self._columns.items()]
        self._splice(slot, slot + width, Instructions((instruction.evolve(metadata=EMPTY),)))
        for key, value in kept:
            if value is not None:
                self._set(slot, key, value)

    # --- the mutable sequence -----------------------------------------------------------------------------------------

    @overload
    def __setitem__(self, index: SupportsIndex, value: Instruction) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Instruction]) -> None: ...
    def __setitem__(self, index: SupportsIndex | slice, value: Instruction | Iterable[Instruction]) -> None:
        if not isinstance(index, slice):
            if not isinstance(value, Instruction):
                raise TypeError(f"an instruction is expected, not {type(value).__name__}")
            slot = self._slot(index)
            self._splice(slot, slot + self._slots.width_at(slot), Instructions((value,)))
            return
        if isinstance(value, Instruction):
            raise TypeError("a slice takes several instructions, not one")
        new = self.copy() if value is self else value if isinstance(value, Instructions) else Instructions(value)
        start, stop, step = index.indices(len(self))
        if step == 1:
            self._splice(self._slots.slot_of(start), self._slots.slot_of(max(start, stop)), new)
            return
        places = range(start, stop, step)
        if len(places) != len(new):
            raise ValueError(f"{len(new)} instructions for an extended slice of {len(places)}")
        for place, instruction in zip(places, list(new), strict=True):
            self[place] = instruction

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                self._splice(self._slots.slot_of(start), self._slots.slot_of(max(start, stop)), Instructions())
                return
            for place in sorted(range(start, stop, step), reverse=True):
                del self[place]
            return
        slot = self._slot(index)
        self._splice(slot, slot + self._slots.width_at(slot), Instructions())

    def insert(self, index: SupportsIndex, value: Instruction) -> None:
        """Put *value* before instruction *index*; jumps to that one still go to it, past the new one."""
        start, _, _ = slice(index, None).indices(len(self))
        slot = self.slot_of(start)
        self._splice(slot, slot, Instructions((value,)))

    def append(self, value: Instruction) -> None:
        slot = self._slots.append(pack(*value.fields))
        for key, item in value.metadata:
            self._set(slot, key, item)

    def extend(self, values: Iterable[Instruction]) -> None:
        if isinstance(values, Instructions):
            end = self.slot_count
            self._splice(end, end, values.copy() if values is self else values)
            return
        for value in values:
            self.append(value)

    def clear(self) -> None:
        del self[:]

    def __add__(self, other: Iterable[Instruction]) -> Instructions:
        if not isinstance(other, Iterable):
            return NotImplemented
        joined = self.copy()
        joined.extend(other)
        return joined

    def _splice(self, lo: int, hi: int, new: Instructions) -> None:
        """Give slots *lo* to *hi*, whole instructions, to *new*."""
        slots, replacing = self._slots, new._slots
        old_width, new_width = hi - lo, new.slot_count
        is_end = lo == slots.slot_count
        if not is_end and (old_width != new_width or new_width > 1):
            references = self._columns.get(REFERENCE)
            Retargeting(
                slots.code, references, lo, hi, new_width, lambda target: slots.heir(lo, target, replacing)
            ).apply(slots.code)
        slots.replace(lo, hi, replacing)
        if not is_end:
            for column in self._columns.values():
                column.splice(lo, hi, new_width - old_width)
        for key, column in new._columns.items():
            mine = self._columns.get(key)
            if mine is None:
                mine = self._columns[key] = Column()
            mine.insert(lo, column)
        for key in [key for key, column in self._columns.items() if column.is_empty]:
            del self._columns[key]

    # --- as a value ---------------------------------------------------------------------------------------------------

    def copy(self) -> Instructions:
        """A copy that shares nothing that can change; a few memory copies."""
        return Instructions._of(self._slots.copy(), {key: column.copy() for key, column in self._columns.items()})

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> Instructions:
        return self.copy()  # metadata values are immutable, or (a live map) stand for something that is not copied

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instructions):
            return NotImplemented
        if self._slots.code != other._slots.code or self._columns.keys() != other._columns.keys():
            return False
        return all(list(column.items()) == list(other._columns[key].items()) for key, column in self._columns.items())

    __hash__ = None  # type: ignore[assignment]

    def format(self, *, source: Key[Any] | None = None) -> str:
        """The disassembly; see `aiobpf.asm.disassembly.format_instructions`."""
        from aiobpf.asm.disassembly import format_instructions

        return format_instructions(self, source=source)

    def __str__(self) -> str:
        return self.format()

    def __repr__(self) -> str:
        return f"<Instructions: {len(self)} in {self.slot_count} slots>"


def _indexed(items: Iterator[tuple[int, T]], wide: array[int]) -> Iterator[tuple[int, T]]:
    """Slots to indices."""
    passed, count = 0, len(wide)
    for slot, value in items:
        while passed < count and wide[passed] < slot:
            passed += 1
        yield slot - passed, value
