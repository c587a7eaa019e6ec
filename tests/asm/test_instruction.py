"""An instruction is a value."""

from __future__ import annotations

import copy

import pytest

from aiobpf import asm
from aiobpf.asm import COMMENT, REFERENCE, SYMBOL, Instruction, Key, Metadata, Reference

NOTE: Key[str] = Key("note")
OTHER_NOTE: Key[str] = Key("note")


def test_it_cannot_be_changed() -> None:
    instruction = asm.mov(asm.R0, 1)
    with pytest.raises(AttributeError, match="immutable"):
        instruction.dst = 1
    with pytest.raises(AttributeError, match="immutable"):
        del instruction.dst
    with pytest.raises(AttributeError):
        instruction.extra = 1


def test_equality_is_by_value_and_counts_metadata() -> None:
    assert asm.mov(asm.R0, 1) == asm.mov(asm.R0, 1)
    assert asm.mov(asm.R0, 1) != asm.mov(asm.R0, 2)
    assert asm.mov(asm.R0, 1) != asm.mov(asm.R0, 1).with_comment("one")
    assert asm.mov(asm.R0, 1).with_comment("one") == asm.mov(asm.R0, 1).with_comment("one")
    assert hash(asm.mov(asm.R0, 1)) == hash(asm.mov(asm.R0, 1).with_comment("one"))
    assert asm.mov(asm.R0, 1) != "r0 = 1"


def test_fields_become_plain_ints() -> None:
    instruction = asm.mov(asm.R3, asm.R4)
    assert [type(field) for field in instruction.fields] == [int] * 5
    assert repr(instruction) == "Instruction(0xbf, dst=3, src=4, offset=0, constant=0)"
    assert repr(instruction.with_symbol("f")).endswith("metadata=Metadata({symbol: 'f'}))")


def test_changing_the_metadata_of_a_copy_does_not_show_on_the_original() -> None:
    original = asm.load_map_ptr(asm.R1, "events").with_symbol("entry")
    changed = original.with_symbol("other").with_reference("stacks").with_metadata(NOTE, "x")
    assert (original.symbol, original.reference) == ("entry", Reference("events"))
    assert original.metadata.get(NOTE) is None
    assert (changed.symbol, changed.reference) == ("other", Reference("stacks"))


def test_keys_of_one_name_are_two_keys_and_none_takes_one_away() -> None:
    metadata = Metadata().with_(NOTE, "a").with_(OTHER_NOTE, "b")
    assert (metadata.get(NOTE), metadata.get(OTHER_NOTE)) == ("a", "b")
    assert metadata.with_(NOTE, None).get(OTHER_NOTE) == "b"
    assert NOTE not in metadata.with_(NOTE, None)
    assert metadata.get(NOTE) == "a"
    assert asm.exit_().with_comment("end").with_comment(None) == asm.exit_()


def test_replacing_the_operation_always_keeps_the_metadata() -> None:
    first = asm.load_map_ptr(asm.R1, "events").with_symbol("entry").with_comment("why")
    poisoned = first.replace_operation(asm.call_helper(0xBAD2310).with_comment("poison"))
    assert poisoned.is_helper_call
    assert poisoned.constant == 0xBAD2310
    assert poisoned.metadata is first.metadata
    assert {key for key, _ in poisoned.metadata} == {SYMBOL, REFERENCE, COMMENT}


def test_evolve_changes_the_given_fields_only() -> None:
    jump = asm.jeq(asm.R1, asm.R2, 3).with_label("here")
    assert jump.evolve(offset=-1) == asm.jeq(asm.R1, asm.R2, -1).with_label("here")
    assert jump.evolve(dst=3, src=4, opcode=asm.jne(asm.R0, asm.R0, 0).opcode, metadata=asm.EMPTY) == asm.jne(
        asm.R3, asm.R4, 3
    )
    assert asm.mov(asm.R0, 1).evolve(constant=7) == asm.mov(asm.R0, 7)


def test_copies_are_the_same_object() -> None:
    instruction = asm.mov(asm.R0, 1).with_comment("one")
    assert copy.copy(instruction) is instruction
    assert copy.deepcopy(instruction) is instruction
    assert copy.copy(instruction.metadata) is instruction.metadata
    assert copy.deepcopy(NOTE) is NOTE


@pytest.mark.parametrize(
    ("instruction", "predicates"),
    [
        (asm.ld_imm64(asm.R0, 1), {"is_load_imm64"}),
        (asm.load_map_ptr(asm.R0, "m"), {"is_load_imm64", "is_load_from_map"}),
        (asm.load_map_value(asm.R0, "m"), {"is_load_imm64", "is_load_from_map"}),
        (asm.load_map_index(asm.R0, 1), {"is_load_imm64", "is_load_from_map"}),
        (asm.load_map_index_value(asm.R0, 1), {"is_load_imm64", "is_load_from_map"}),
        (asm.load_btf_id(asm.R0, 1), {"is_load_imm64"}),
        (asm.load_function(asm.R0, "f"), {"is_load_imm64", "is_function_reference"}),
        (asm.call_function("f"), {"is_function_call", "is_function_reference"}),
        (asm.call_helper(1), {"is_helper_call"}),
        (asm.call_kfunc("k"), {"is_kfunc_call"}),
        (asm.callx(asm.R1), set()),
        (asm.ja(1), {"is_jump"}),
        (asm.gotol(1), {"is_jump"}),
        (asm.gotox(asm.R1), {"is_jump"}),
        (asm.may_goto(1), {"is_jump"}),
        (asm.jset32(asm.R1, 4, 1), {"is_jump"}),
        (asm.exit_(), {"is_exit"}),
        (asm.mov(asm.R1, 4), set()),
    ],
)
def test_predicates(instruction: Instruction, predicates: set[str]) -> None:
    names = {name for name in dir(Instruction) if name.startswith("is_")}
    assert {name for name in names if getattr(instruction, name)} == predicates
    assert instruction.width == (2 if "is_load_imm64" in predicates else 1)


def test_metadata_is_immutable() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Metadata()._items = ()
    assert Metadata().with_(NOTE, "a") != Metadata().with_(OTHER_NOTE, "a")
    assert Metadata().with_(NOTE, "a") != "a"
    assert list(Metadata().with_(NOTE, "a")) == [(NOTE, "a")]
    assert repr(Metadata().with_(NOTE, "a")) == "Metadata({note: 'a'})"
