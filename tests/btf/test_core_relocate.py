"""CO-RE by hand-made types: what libbpf's answers do not show, and every refusal."""

from __future__ import annotations

import contextlib
import gc
import weakref
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.asm import COMMENT, SYMBOL, Instruction, Instructions
from aiobpf.asm.opcodes import ALU64, CALL_OP, LD_IMM64, LDX, MEM, MOV, SIZE_B, SIZE_DW, SIZE_H, SIZE_W, ST, K, X
from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    CoreRelocation,
    CoreRelocationKind,
    CoreRelocator,
    Enum,
    Enumerator,
    Fixup,
    Float,
    Forward,
    FunctionPrototype,
    Int,
    IntEncoding,
    Member,
    Parameter,
    Pointer,
    Struct,
    Type,
    Typedef,
    Union,
    Void,
    relocate,
    relocate_instructions,
)
from aiobpf.btf.core_match import essential_name, fields_compatible, types_compatible, types_match
from aiobpf.btf.core_relocation import CORE_RELOCATION
from aiobpf.errors import CoreRelocationError

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = CoreRelocationKind
INT = Int("int", 4, encoding=IntEncoding.SIGNED)
U32 = Int("unsigned int", 4)
U64 = Int("unsigned long long", 8)
POISON = 0xBAD2310


def kernel(*types: Type, byte_order: str = "little", base: Btf | None = None) -> Btf:
    builder = BtfBuilder("little" if byte_order == "little" else "big")
    for each in types:
        builder.add(each)
    return Btf.from_bytes(builder.encode(), base)


def struct(name: str, *members: tuple[str, Type, int], size: int = 64) -> Struct:
    return Struct(name, size, [Member(member, type_, offset * 8) for member, type_, offset in members])


def ask(local: Type, target: Btf | Iterable[Btf], access: str = "0:0", kind: Kind = Kind.FIELD_BYTE_OFFSET) -> Fixup:
    targets = [target] if isinstance(target, Btf) else list(target)
    return relocate([CoreRelocation(7, local, access, kind)], targets)[0]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___o", "task_struct"),
        ("a___b___c", "a___b"),
        ("a____b", "a____b"),
        ("___a", "___a"),
        ("a___", "a___"),
        ("a____b___c", "a____b"),
        ("", ""),
        ("a___b", "a"),
    ],
)
def test_a_flavour_is_what_follows_three_underscores_inside_a_name(name: str, essential: str) -> None:
    assert essential_name(name) == essential


@given(st.text(alphabet="_a", max_size=24))
def test_an_essential_name_is_a_prefix_that_ends_before_a_flavour(name: str) -> None:
    found = essential_name(name)
    assert name.startswith(found)
    rest = name[len(found) :]
    assert not rest or (rest.startswith("___") and rest[3:4] == "a" and found[-1] == "a")


# --- answers ----------------------------------------------------------------------------------------------------------


def test_fixups_come_in_the_order_of_the_relocations() -> None:
    local = struct("s", ("a", U32, 0), ("b", U32, 4))
    target = kernel(struct("s", ("b", U32, 16), ("a", U32, 24)))
    relocations = [CoreRelocation(1, local, f"0:{member}", Kind.FIELD_BYTE_OFFSET) for member in (1, 0, 1)]
    assert [fixup.target for fixup in relocate(relocations, [target])] == [16, 24, 16]


def test_candidates_that_agree_are_one_answer() -> None:
    target = kernel(struct("s", ("a", U32, 8)), struct("s___v2", ("a", INT, 8), ("b", INT, 0)))
    assert ask(struct("s", ("a", U32, 0)), target).target == 8


def test_candidates_that_disagree_are_an_error_that_names_both() -> None:
    target = kernel(struct("s", ("a", U32, 8)), struct("s", ("a", U32, 16)))
    with pytest.raises(CoreRelocationError, match=r"struct s\.a: .* disagree: \[1\] .*\[3\] "):
        ask(struct("s", ("a", U32, 0)), target)


def test_candidates_of_different_size_disagree_about_it() -> None:
    target = kernel(struct("s", ("a", U32, 8)), struct("s", ("a", U64, 8)))
    with pytest.raises(CoreRelocationError, match=r"\] .* gives 4, .* gives 8"):
        ask(struct("s", ("a", U32, 0)), target, kind=Kind.FIELD_BYTE_SIZE)


def test_a_candidate_without_the_field_does_not_count_and_is_none_from_then_on() -> None:
    local = struct("s", ("a", U32, 0), ("b", U32, 4))
    target = kernel(struct("s", ("a", U32, 8)), struct("s", ("a", U32, 16), ("b", U32, 24)))
    a, b = (CoreRelocation(1, local, f"0:{member}", Kind.FIELD_BYTE_OFFSET) for member in (0, 1))
    assert [fixup.target for fixup in relocate([b, a], [target])] == [24, 16]
    with pytest.raises(CoreRelocationError, match="disagree"):
        relocate([a, b], [target])


def test_a_missing_field_poisons_but_its_existence_is_answered() -> None:
    local, target = struct("s", ("gone", U32, 0)), kernel(struct("s", ("a", U32, 8)))
    assert ask(local, target).poison
    exists = ask(local, target, kind=Kind.FIELD_EXISTS)
    assert (exists.local, exists.target, exists.poison) == (1, 0, False)


def test_modules_are_asked_for_what_the_kernel_lacks_only() -> None:
    vmlinux = kernel(struct("s", ("a", U32, 8)))
    module = kernel(struct("s", ("a", U32, 16)), struct("m", ("a", U32, 24)), base=None)
    assert ask(struct("s", ("a", U32, 0)), [vmlinux, module]).target == 8
    assert ask(struct("m", ("a", U32, 0)), [vmlinux, module]).target == 24


def test_further_targets_are_fetched_once_and_only_when_needed() -> None:
    fetched: list[str] = []

    def more() -> list[Btf]:
        fetched.append("modules")
        return [kernel(struct("m", ("a", U32, 24)))]

    relocator = CoreRelocator([kernel(struct("s", ("a", U32, 8)))], more_targets=more)
    assert relocator.resolve(CoreRelocation(1, struct("s", ("a", U32, 0)), "0:0", Kind.FIELD_BYTE_OFFSET)).target == 8
    assert fetched == []
    for name in ("m", "nowhere"):
        relocator.resolve(CoreRelocation(1, struct(name, ("a", U32, 0)), "0:0", Kind.FIELD_BYTE_OFFSET))
    assert fetched == ["modules"]


def test_the_local_type_id_is_the_one_it_is_loaded_with() -> None:
    local = struct("s")
    relocation = CoreRelocation(7, local, "0", Kind.TYPE_ID_LOCAL)
    (plain,) = relocate([relocation], [])
    assert (plain.target, plain.validate) == (7, False)
    (mapped,) = relocate([relocation], [], local_type_id=lambda found: 99 if found is local else 0)
    assert mapped.target == 99


def test_a_relocation_looks_its_type_up_when_asked() -> None:
    types = kernel(struct("s", ("a", U32, 0)))
    relocation = CoreRelocation(1, types, "0:0", Kind.FIELD_BYTE_OFFSET)
    assert relocation.type is types.type_by_id(1)
    assert relocation == CoreRelocation(1, types.type_by_id(1), "0:0", Kind.FIELD_BYTE_OFFSET)
    assert hash(relocation) == hash(CoreRelocation(1, types, "0:0", Kind.FIELD_BYTE_OFFSET))
    assert relocation != "0:0"
    with pytest.raises(CoreRelocationError, match=r"no type \[9\]"):
        relocate([CoreRelocation(9, types, "0:0", Kind.FIELD_BYTE_OFFSET)], [types])


def test_a_32_bit_kernel_has_pointers_of_four_bytes() -> None:
    long = Int("long unsigned int", 4)
    local = struct("s", ("p", Pointer(Void()), 0), ("after", U32, 8))
    target = kernel(struct("s", ("p", Pointer(Void()), 4), ("after", U32, 8)), long)
    assert ask(local, target, kind=Kind.FIELD_BYTE_SIZE).target == 4
    fixup = ask(local, target)
    instructions = Instructions([Instruction(LDX | MEM | SIZE_DW, 1, 2, 0)])
    fixup.apply(instructions, 0)
    assert instructions[0] == Instruction(LDX | MEM | SIZE_W, 1, 2, 4)


@pytest.mark.parametrize(("byte_order", "shift"), [("little", 64 - 12), ("big", 32 + 7)])
def test_a_bit_field_is_shifted_up_by_byte_order(byte_order: str, shift: int) -> None:
    def made(bit: int) -> Struct:
        return Struct("s", 8, [Member("f", U32, bit, 5)])

    relocation = CoreRelocation(1, made(3), "0:0", Kind.FIELD_LSHIFT_U64)
    target = kernel(made(7))
    (fixup,) = relocate([relocation], [target], byte_order="little" if byte_order == "little" else "big")
    assert (fixup.target, fixup.validate) == (shift, False)
    assert ask(made(3), target, kind=Kind.FIELD_RSHIFT_U64).target == 64 - 5


def test_an_array_that_grew_is_loaded_by_its_elements() -> None:
    local = struct("s", ("name", Array(Int("char", 1), U32, 16), 0))
    target = kernel(struct("s", ("name", Array(Int("char", 1), U32, 32), 4)))
    instructions = Instructions([Instruction(LDX | MEM | SIZE_B, 1, 2, 0)])
    ask(local, target).apply(instructions, 0)
    assert instructions[0] == Instruction(LDX | MEM | SIZE_B, 1, 2, 4)


def test_what_is_known_of_a_target_does_not_keep_it() -> None:
    target = kernel(struct("s", ("a", U32, 8)))
    ask(struct("s", ("a", U32, 0)), target)
    gone = weakref.ref(target)
    del target
    gc.collect()
    assert gone() is None


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "kind"),
    [
        ("", Kind.FIELD_BYTE_OFFSET),
        ("-1", Kind.FIELD_BYTE_OFFSET),
        ("0:", Kind.FIELD_BYTE_OFFSET),
        (":0", Kind.FIELD_BYTE_OFFSET),
        ("0:x", Kind.FIELD_BYTE_OFFSET),
        ("0:٣", Kind.FIELD_BYTE_OFFSET),
        ("0:0\n", Kind.FIELD_BYTE_OFFSET),
        ("0:99999999999", Kind.FIELD_BYTE_OFFSET),
        ("0:2", Kind.FIELD_BYTE_OFFSET),
        ("0:1:4", Kind.FIELD_BYTE_OFFSET),
        ("0:0:0", Kind.FIELD_BYTE_OFFSET),
        (":".join(["0"] * 65), Kind.FIELD_BYTE_OFFSET),
        (":".join(["0"] * 10_000), Kind.FIELD_BYTE_OFFSET),
        ("0:0", Kind.TYPE_SIZE),
        ("1", Kind.TYPE_EXISTS),
        ("0", Kind.ENUMVAL_VALUE),
        ("0:1:0", Kind.FIELD_SIGNED),
    ],
)
def test_an_access_string_that_leads_nowhere_is_refused(access: str, kind: Kind) -> None:
    local = struct("s", ("a", U32, 0), ("list", Array(U32, U32, 4), 4))
    with pytest.raises(CoreRelocationError, match=r"relocation"):
        ask(local, kernel(local), access, kind)


@pytest.mark.parametrize("access", ["0:1", "5"])
def test_an_enumerator_that_is_not_there_is_refused(access: str) -> None:
    local = Enum("e", 4, False, [Enumerator("A", 1)])
    with pytest.raises(CoreRelocationError, match="no such enumerator"):
        ask(local, kernel(local), access, Kind.ENUMVAL_VALUE)


def test_an_anonymous_type_cannot_be_asked_for() -> None:
    with pytest.raises(CoreRelocationError, match="anonymous type"):
        ask(struct("", ("a", U32, 0)), kernel(U32))


def test_a_type_without_size_has_none() -> None:
    with pytest.raises(CoreRelocationError, match="no size"):
        ask(Forward("s"), kernel(Forward("s")), "0", Kind.TYPE_SIZE)


@given(st.text(max_size=40))
def test_any_access_string_gives_a_fixup_or_the_named_error(access: str) -> None:
    local = struct("s", ("a", U32, 0), ("list", Array(U32, U32, 4), 4))
    for kind in Kind:
        with contextlib.suppress(CoreRelocationError):
            ask(local, kernel(U32), access, kind)


def nested(name: str, levels: int, width: int, leaf: Type, *, anonymous: bool) -> Struct:
    """Levels of structs, each with *width* members of the next: width**levels paths."""
    current = leaf
    for level in range(levels):
        members = [Member("" if anonymous else f"m{each}", current, 0) for each in range(width)]
        current = Struct(name if level == levels - 1 else f"level{level}", 8, members)
    assert isinstance(current, Struct)
    return current


def test_anonymous_structs_that_double_at_every_level_take_no_time() -> None:
    target = kernel(nested("s", 40, 2, Struct("", 8, [Member("a", U32, 0)]), anonymous=True))
    assert ask(struct("s", ("a", U32, 0)), target).target == 0
    assert ask(struct("s", ("b", U32, 0)), target).poison


def test_a_struct_that_holds_itself_anonymously_is_refused() -> None:
    looping = Struct("s", 8, lambda self: [Member("", self, 0)])
    with pytest.raises(CoreRelocationError, match="nested too deep"):
        ask(struct("s", ("a", U32, 0)), kernel(looping))


def test_matching_types_that_double_at_every_level_ends() -> None:
    one, two = (nested("s", 30, 2, INT, anonymous=False) for _ in range(2))
    assert types_match(one, two)
    prototype: Type = INT
    for _ in range(30):
        prototype = FunctionPrototype(prototype, [Parameter("a", prototype), Parameter("b", prototype)])
    with pytest.raises(CoreRelocationError, match=r"more than|too deep"):
        types_compatible(prototype, prototype)


def test_a_chain_of_pointers_without_end_is_refused() -> None:
    chain: Type = INT
    for _ in range(100):
        chain = Pointer(chain)
    for rule in (types_compatible, types_match):
        with pytest.raises(CoreRelocationError, match="too deep"):
            rule(chain, chain)
    assert fields_compatible(chain, chain)
    arrays: Type = INT
    for _ in range(100):
        arrays = Array(arrays, U32, 1)
    with pytest.raises(CoreRelocationError, match="too deep"):
        fields_compatible(arrays, arrays)


# --- what matches -----------------------------------------------------------------------------------------------------

FLOAT = Float("float", 4)
ENUM = Enum("e", 4, False, [Enumerator("A", 0), Enumerator("B", 1)])
OLD_BITS = Int("int", 4, 3, bit_offset=2)


@pytest.mark.parametrize(
    ("local", "target", "expected"),
    [
        (struct("a"), struct("b"), True),
        (struct("a"), Union("b", 8), True),
        (INT, U64, True),
        (INT, OLD_BITS, False),
        (INT, Pointer(INT), False),
        (Pointer(INT), Pointer(struct("a")), True),
        (FLOAT, Float("double", 8), True),
        (ENUM, Enum("e___v2", 8), True),
        (ENUM, Enum("f"), False),
        (ENUM, Enum(""), True),
        (Forward("a"), Forward("b"), False),
        (Array(INT, U32, 4), Array(U64, U32, 9), True),
        (Array(INT, U32, 4), INT, False),
        (Typedef("t", INT), U64, True),
        (Void(), Void(), False),
    ],
)
def test_fields_are_compatible(local: Type, target: Type, expected: bool) -> None:
    assert fields_compatible(local, target) is expected


@pytest.mark.parametrize(
    ("local", "target", "expected"),
    [
        (struct("s"), struct("s", ("a", INT, 0)), True),
        (struct("s"), Union("s", 8), False),
        (ENUM, Enum("e", 8), True),
        (INT, OLD_BITS, False),
        (Pointer(INT), Pointer(struct("s")), False),
        (Typedef("t", INT), INT, False),
        (FLOAT, FLOAT, False),
        (FunctionPrototype(INT, [Parameter("a", INT)]), FunctionPrototype(U64, [Parameter("b", U32)]), True),
        (FunctionPrototype(INT), FunctionPrototype(INT, [Parameter("b", U32)]), False),
        (FunctionPrototype(INT, [Parameter("a", INT)]), FunctionPrototype(INT, [Parameter("a", Void())]), False),
    ],
)
def test_types_are_compatible(local: Type, target: Type, expected: bool) -> None:
    assert types_compatible(local, target) is expected


NODE = Struct("node", 8, lambda node: [Member("next", Pointer(node), 0)])


@pytest.mark.parametrize(
    ("local", "target", "expected"),
    [
        (struct("s", ("a", INT, 0)), struct("s___x", ("b", INT, 0), ("a", INT, 8)), True),
        (struct("s", ("a", INT, 0)), struct("s", ("a", U32, 0)), False),
        (struct("s", ("a", INT, 0), ("b", INT, 4)), struct("s", ("a", INT, 0)), False),
        (struct("s"), struct("t"), False),
        (struct("s"), Union("s", 8), False),
        (NODE, NODE, True),
        (Pointer(struct("s", ("a", INT, 0))), Pointer(struct("s")), True),
        (Pointer(struct("s")), Pointer(Forward("s")), True),
        (Pointer(struct("s")), Pointer(Forward("s", True)), False),
        (Pointer(Forward("s")), Pointer(struct("s")), True),
        (Pointer(Forward("s", True)), Pointer(struct("s")), False),
        (Pointer(struct("s")), Pointer(Union("s", 8)), False),
        (Forward("s"), struct("s"), False),
        (Forward("s"), Forward("s"), True),
        (Forward("s"), Forward("s", True), False),
        (ENUM, Enum("e", 8, False, [Enumerator("B", 5), Enumerator("A", 7), Enumerator("C", 1)]), True),
        (ENUM, Enum("e", 4, False, [Enumerator("A", 0), Enumerator("C", 1)]), False),
        (ENUM, Enum("e", 4, False, [Enumerator("A", 0)]), False),
        (ENUM, Int("e", 4), False),
        (Array(INT, U32, 2), Array(INT, U32, 2), True),
        (Array(INT, U32, 2), Array(INT, U32, 3), False),
        (FunctionPrototype(INT, [Parameter("a", INT)]), FunctionPrototype(INT, [Parameter("b", INT)]), True),
        (FunctionPrototype(INT, [Parameter("a", INT)]), FunctionPrototype(INT, [Parameter("a", Pointer(INT))]), False),
        (FunctionPrototype(INT), FunctionPrototype(INT, [Parameter("a", INT)]), False),
        (Pointer(Void()), Pointer(Void()), True),
        (Pointer(Void()), Pointer(INT), False),
        (FLOAT, FLOAT, False),
    ],
)
def test_types_match(local: Type, target: Type, expected: bool) -> None:
    assert types_match(local, target) is expected


# --- instructions -----------------------------------------------------------------------------------------------------

LOAD = LDX | MEM | SIZE_W
MOV_K = ALU64 | MOV | K


fixup = partial(Fixup, CoreRelocation(1, struct("s"), "0:0", Kind.FIELD_BYTE_OFFSET))


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (Instruction(MOV_K, 1, constant=8), fixup(8, 16), Instruction(MOV_K, 1, constant=16)),
        (Instruction(MOV_K, 1, constant=9), fixup(8, 16, validate=False), Instruction(MOV_K, 1, constant=16)),
        (Instruction(LOAD, 1, 2, 8), fixup(8, 16), Instruction(LOAD, 1, 2, 16)),
        (Instruction(ST | MEM | SIZE_W, 1, 0, 8, 5), fixup(8, 16), Instruction(ST | MEM | SIZE_W, 1, 0, 16, 5)),
        (
            Instruction(LOAD, 1, 2, 8),
            fixup(8, 16, local_size=4, target_size=2),
            Instruction(LDX | MEM | SIZE_H, 1, 2, 16),
        ),
        (Instruction(LD_IMM64, 1, constant=8), fixup(8, -1), Instruction(LD_IMM64, 1, constant=-1)),
        (Instruction(LD_IMM64, 1, constant=-3), fixup(-3, 1 << 40), Instruction(LD_IMM64, 1, constant=1 << 40)),
    ],
)
def test_a_fixup_changes_the_number(before: Instruction, change: Fixup, after: Instruction) -> None:
    instructions = Instructions([before.with_comment("kept")])
    assert change.apply(instructions, 0) == 1
    assert instructions[0] == after.with_comment("kept")


@pytest.mark.parametrize(
    ("before", "change", "message"),
    [
        (Instruction(MOV_K, 1, constant=9), fixup(8, 16), "has 9, the object's own types say 8"),
        (Instruction(ALU64 | MOV | X, 1, 2), fixup(8, 16), "takes no immediate"),
        (Instruction(MOV_K, 1, constant=8), fixup(8, 1 << 40), "no room for 0x10000000000"),
        (Instruction(LOAD, 1, 2, 9), fixup(8, 16), "has 9"),
        (Instruction(LOAD, 1, 2, 8), fixup(8, 1 << 15), "cannot reach offset 32768"),
        (Instruction(LOAD, 1, 2, 8), fixup(8, 16, local_size=8, target_size=4), "4 bytes of a field of 8"),
        (Instruction(LOAD, 1, 2, 8), fixup(8, 16, local_size=4, target_size=3), "cannot access 3 bytes"),
        (Instruction(LD_IMM64, 1, constant=9), fixup(8, 16), "has 9"),
        (Instruction(LD_IMM64, 1, 1, constant=8), fixup(8, 16), "no plain 64-bit"),
        (Instruction(CALL_OP, constant=8), fixup(8, 16), "takes no relocated number"),
    ],
)
def test_an_instruction_that_was_not_meant_is_refused(before: Instruction, change: Fixup, message: str) -> None:
    instructions = Instructions([before])
    with pytest.raises(CoreRelocationError, match=f"byte_off relocation '0:0' of 's' at instruction 0.*{message}"):
        change.apply(instructions, 0)
    assert instructions[0] == before


def test_poison_keeps_what_is_on_the_first_instruction_of_a_function() -> None:
    first = Instruction(LOAD, 1, 2, 8).with_symbol("guarded").with_comment("task->gone")
    instructions = Instructions([first])
    assert fixup(8, 0, poison=True).apply(instructions, 0) == 1
    assert instructions[0].is_helper_call
    assert instructions[0].constant == POISON
    assert instructions[0].metadata.get(SYMBOL) == "guarded"
    assert instructions[0].metadata.get(COMMENT) == "task->gone"


def test_a_load_that_would_give_a_wrong_number_is_poisoned() -> None:
    local, target = struct("s", ("a", INT, 0)), kernel(struct("s", ("a", Int("long", 8, None, IntEncoding.SIGNED), 8)))
    change = ask(local, target)
    assert not change.poison
    instructions = Instructions([Instruction(LOAD, 1, 2, 0), Instruction(MOV_K, 1, constant=0)])
    for index in (0, 1):
        change.apply(instructions, index)
    assert instructions[0].constant == POISON
    assert instructions[1] == Instruction(MOV_K, 1, constant=8)  # the offset alone is right


def test_poisoned_wide_loads_move_nothing_else() -> None:
    gone = Enum("e", 4, False, [Enumerator("GONE", 5), Enumerator("A", 6)])
    target = kernel(Enum("e", 4, False, [Enumerator("A", 60)]))
    relocations = [CoreRelocation(1, gone, access, Kind.ENUMVAL_VALUE) for access in ("0", "1")]
    instructions = Instructions(
        [
            Instruction(LD_IMM64, 1, constant=5).with_metadata(CORE_RELOCATION, relocations[0]),
            Instruction(LD_IMM64, 2, constant=6).with_metadata(CORE_RELOCATION, relocations[1]),
            Instruction(LD_IMM64, 3, constant=5).with_metadata(CORE_RELOCATION, relocations[0]),
        ]
    )
    fixups = relocate_instructions(instructions, CoreRelocator([target]))
    assert [change.poison for change in fixups] == [True, False, True]
    assert instructions.slot_count == 6
    assert [each.constant for each in instructions] == [POISON, POISON, 60, POISON, POISON]
    assert instructions[0].metadata.get(CORE_RELOCATION) is relocations[0]


def test_an_unsigned_enumerator_from_two_to_the_31_up_stays_unsigned() -> None:
    def enum(value: int) -> Enum:
        return Enum("e", 4, False, [Enumerator("A", value)])

    change = ask(enum(0x8000_0001), kernel(enum(0xF000_0000)), "0", Kind.ENUMVAL_VALUE)
    for constant, expected in ((0x8000_0001, 0xF000_0000), (0xFFFF_FFFF_8000_0001, 0xFFFF_FFFF_F000_0000)):
        instructions = Instructions([Instruction(LD_IMM64, 1, constant=constant)])
        change.apply(instructions, 0)
        assert instructions[0].constant == expected


def test_a_fixup_says_what_it_does() -> None:
    assert repr(fixup(8, 16)) == "<Fixup byte_off '0:0': 8 -> 16>"
    assert "poison" in repr(fixup(8, 16, poison=True))
    assert repr(CoreRelocation(3, U32, "0", Kind.TYPE_SIZE)) == (
        "CoreRelocation(type_id=3, access='0', kind=type_size)"
    )
