"""One instruction, as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, final

from aiobpf.asm.metadata import EMPTY, Key, Metadata
from aiobpf.asm.opcodes import CALL_OP, EXIT_OP, GOTOL_OP, GOTOX_OP, LD_IMM64, OFFSET_JUMPS, CallKind, Pseudo
from aiobpf.asm.references import COMMENT, LABEL, REFERENCE, SYMBOL, Reference
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from typing import NoReturn

T = TypeVar("T")

_MAP_PSEUDOS = frozenset({Pseudo.MAP_FD, Pseudo.MAP_VALUE, Pseudo.MAP_IDX, Pseudo.MAP_IDX_VALUE})


@final
class Instruction:
    """An immutable instruction: *opcode* (the wire's byte), *dst*, *src*, *offset*, *constant* and *metadata*.

    *offset* is signed 16-bit. *constant* is signed 32-bit, but for a 64-bit immediate load (width 2, one Instruction),
    where it is the unsigned 64-bit value: with a map-value source its low half is the map's fd and its high half the
    offset into the value. Either sign is taken on the way in: ``constant=0xFFFFFFFF`` and ``constant=-1`` are equal.

    Raises AsmError for a field that the wire has no room for.
    """

    __slots__ = ("constant", "dst", "metadata", "offset", "opcode", "src")

    opcode: int
    dst: int
    src: int
    offset: int
    constant: int
    metadata: Metadata

    def __init__(
        self,
        opcode: int,
        dst: int = 0,
        src: int = 0,
        offset: int = 0,
        constant: int = 0,
        metadata: Metadata = EMPTY,
    ) -> None:
        check_fields(opcode, dst, src, offset)
        _set_opcode(self, opcode)
        _set_dst(self, int(dst))
        _set_src(self, int(src))
        _set_offset(self, offset)
        _set_constant(self, canonical_constant(opcode, int(constant)))
        _set_metadata(self, metadata)

    @property
    def fields(self) -> tuple[int, int, int, int, int]:
        """All but the metadata, as (opcode, dst, src, offset, constant)."""
        return self.opcode, self.dst, self.src, self.offset, self.constant

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Instruction is immutable; use evolve() or with_metadata()")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("Instruction is immutable")

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def width(self) -> int:
        """Slots of eight bytes: 2 for a 64-bit immediate load, else 1."""
        return 2 if self.opcode == LD_IMM64 else 1

    @property
    def is_load_imm64(self) -> bool:
        return self.opcode == LD_IMM64

    @property
    def is_load_from_map(self) -> bool:
        """A 64-bit load of a map's, or a map value's, address."""
        return self.opcode == LD_IMM64 and self.src in _MAP_PSEUDOS

    @property
    def is_function_call(self) -> bool:
        """A call of another function of the program (bpf to bpf)."""
        return self.opcode == CALL_OP and self.src == CallKind.FUNCTION

    @property
    def is_helper_call(self) -> bool:
        return self.opcode == CALL_OP and self.src == CallKind.HELPER

    @property
    def is_kfunc_call(self) -> bool:
        return self.opcode == CALL_OP and self.src == CallKind.KFUNC

    @property
    def is_function_reference(self) -> bool:
        """A call of a function of the program, or a load of its address."""
        return self.is_function_call or (self.opcode == LD_IMM64 and self.src == Pseudo.FUNC)

    @property
    def is_jump(self) -> bool:
        """A jump, conditional or not; a call or an exit is none."""
        return self.opcode in OFFSET_JUMPS or self.opcode in {GOTOL_OP, GOTOX_OP}

    @property
    def is_exit(self) -> bool:
        return self.opcode == EXIT_OP

    # --- changed copies -----------------------------------------------------------------------------------------------

    def evolve(
        self,
        *,
        opcode: int | None = None,
        dst: int | None = None,
        src: int | None = None,
        offset: int | None = None,
        constant: int | None = None,
        metadata: Metadata | None = None,
    ) -> Instruction:
        """This instruction with the given fields changed."""
        return Instruction(
            self.opcode if opcode is None else opcode,
            self.dst if dst is None else dst,
            self.src if src is None else src,
            self.offset if offset is None else offset,
            self.constant if constant is None else constant,
            self.metadata if metadata is None else metadata,
        )

    def replace_operation(self, other: Instruction) -> Instruction:
        """What *other* does, with the metadata of this one: always, so that a poisoned instruction keeps its place."""
        return make_instruction(*other.fields, self.metadata)

    def with_metadata(self, key: Key[T], value: T | None) -> Instruction:
        """This instruction with *value* under *key*; None takes the key away."""
        return make_instruction(*self.fields, self.metadata.with_(key, value))

    def with_symbol(self, name: str | None) -> Instruction:
        """This instruction as the first of function *name*."""
        return self.with_metadata(SYMBOL, name)

    def with_label(self, name: str | None) -> Instruction:
        """This instruction as a place to jump to, known by *name* in its function."""
        return self.with_metadata(LABEL, name)

    def with_reference(self, target: str | Reference | None) -> Instruction:
        return self.with_metadata(REFERENCE, Reference(target) if isinstance(target, str) else target)

    def with_comment(self, text: str | None) -> Instruction:
        return self.with_metadata(COMMENT, text)

    @property
    def symbol(self) -> str | None:
        return self.metadata.get(SYMBOL)

    @property
    def reference(self) -> Reference | None:
        return self.metadata.get(REFERENCE)

    # --- as a value ---------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instruction):
            return NotImplemented
        return self.fields == other.fields and self.metadata == other.metadata

    def __hash__(self) -> int:
        # Metadata values may be unhashable, so they do not count; equal instructions still hash alike.
        return hash(self.fields)

    def __copy__(self) -> Instruction:
        return self

    def __deepcopy__(self, memo: object) -> Instruction:
        return self

    def __str__(self) -> str:
        from aiobpf.asm.disassembly import format_instruction

        return format_instruction(self)

    def __repr__(self) -> str:
        text = (
            f"Instruction({self.opcode:#04x}, dst={self.dst}, src={self.src}, offset={self.offset}, "
            f"constant={self.constant}"
        )
        return f"{text}, metadata={self.metadata!r})" if self.metadata else f"{text})"


_set_opcode = vars(Instruction)["opcode"].__set__
_set_dst = vars(Instruction)["dst"].__set__
_set_src = vars(Instruction)["src"].__set__
_set_offset = vars(Instruction)["offset"].__set__
_set_constant = vars(Instruction)["constant"].__set__
_set_metadata = vars(Instruction)["metadata"].__set__


def make_instruction(opcode: int, dst: int, src: int, offset: int, constant: int, metadata: Metadata) -> Instruction:
    """An Instruction of fields that are canonical already: half the time of the constructor, which checks them."""
    instruction = Instruction.__new__(Instruction)
    _set_opcode(instruction, opcode)
    _set_dst(instruction, dst)
    _set_src(instruction, src)
    _set_offset(instruction, offset)
    _set_constant(instruction, constant)
    _set_metadata(instruction, metadata)
    return instruction


def check_fields(opcode: int, dst: int, src: int, offset: int) -> None:
    """AsmError for a field that the wire has no room for."""
    if not 0 <= opcode <= 0xFF:
        raise AsmError(f"opcode {opcode:#x} is not a byte")
    if not (0 <= dst <= 15 and 0 <= src <= 15):
        raise AsmError(f"opcode {opcode:#04x}: registers {dst} and {src} do not fit four bits each")
    if not -0x8000 <= offset <= 0x7FFF:
        raise AsmError(f"opcode {opcode:#04x}: offset {offset} does not fit 16 bits")


def canonical_constant(opcode: int, constant: int) -> int:
    """*constant* as an Instruction of that opcode holds it, or AsmError."""
    if opcode == LD_IMM64:
        if not -(1 << 63) <= constant < 1 << 64:
            raise AsmError(f"opcode {opcode:#04x}: constant {constant:#x} does not fit 64 bits")
        return constant & 0xFFFF_FFFF_FFFF_FFFF
    if -(1 << 31) <= constant < 1 << 31:
        return constant
    if constant < 1 << 32 and constant > 0:
        return constant - (1 << 32)
    raise AsmError(f"opcode {opcode:#04x}: constant {constant:#x} does not fit 32 bits")
