"""The base of a split BTF: distilled to what it needs, and found again in another kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    Const,
    Enum,
    Enumerator,
    Float,
    Forward,
    Function,
    FunctionPrototype,
    Int,
    IntEncoding,
    Kind,
    Member,
    Parameter,
    Pointer,
    Struct,
    Type,
    Typedef,
    Union,
    deduplicate,
    distill_base,
    join_btfs,
    relocate_base,
    strip_qualifiers,
)
from aiobpf.btf.words import StringTable, encode_words, name_places, own_types, reference_places
from aiobpf.errors import BtfError
from tests.kernel_btfs import RUNNING, kernel_btfs, name_of, read_btf

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = Path(__file__).parent.parent / "objects"
INT = Int("int", 4, encoding=IntEncoding.SIGNED)
LONG = Int("long unsigned int", 8)


def made_of(*types: Type, byte_order: str = "little") -> Btf:
    builder = BtfBuilder("big" if byte_order == "big" else "little")
    for each in types:
        builder.add(each)
    return Btf.from_bytes(builder.encode())


def on(base: Btf, *types: Type) -> Btf:
    """A split BTF on *base* of *types*, without those that the base has: what pahole makes of a module."""
    return deduplicate(moved(made_of(*types, byte_order=base.byte_order), base)).btf


def moved(alone: Btf, base: Btf) -> Btf:
    """*alone* behind the types of *base*."""
    shift, strings, types = len(base.types) - 1, StringTable(base.strings_end), []
    for words in own_types(alone):
        for place in name_places(words):
            words[place] = strings.offset(alone.name_at(words[place]))
        for place in reference_places(words):
            words[place] += shift if words[place] else 0
        types.append(words)
    return Btf.from_bytes(encode_words(types, strings.encode(), base.byte_order), base)


def require_same(left: Btf, right: Btf) -> None:
    """Both are one BTF, whatever they repeat of their base."""
    assert deduplicate(left).btf.raw == deduplicate(right).btf.raw


@pytest.fixture
def base() -> Btf:
    task = Struct("task", 64, [Member("pid", INT, 0), Member("", Struct("", 8, [Member("x", LONG, 0)]), 64)])
    lock = Struct("lock", 4, [Member("n", INT, 0)])
    return made_of(
        task,
        lock,
        Struct("unused", 4, [Member("n", INT, 0)]),
        Typedef("lock_t", lock),
        Enum("state", 4, False, [Enumerator("ON", 1)]),
        Enum("wide", 8, False, [Enumerator("W", 1 << 40)]),
        Pointer(Const(task)),
        Forward("later"),
        Float("double", 8),
        Union("either", 8, [Member("l", LONG, 0)]),
        Typedef("odd", Struct("", 4, [Member("n", INT, 0)])),
    )


def device(base: Btf) -> Btf:
    """A struct that uses all kinds of types of the base, and one of its own."""

    def find(name: str) -> Type:
        return base.by_name(name)

    own = Struct("own", 8, [Member("l", LONG, 0)])
    ops = FunctionPrototype(INT, [Parameter("t", Pointer(Const(find("task"))))])
    return on(
        base,
        Struct("device", 112, [
            Member("lock", find("lock_t"), 0), Member("task", Pointer(Const(find("task"))), 64),
            Member("state", find("state"), 128), Member("wide", find("wide"), 192),
            Member("later", Pointer(find("later")), 256), Member("d", find("double"), 320),
            Member("either", Array(find("either"), INT, 2), 384), Member("own", own, 512),
            Member("ops", Pointer(ops), 576), Member("odd", find("odd"), 640),
        ]),
        Function("probe", ops),
    )  # fmt: skip


def test_a_distilled_base_has_names_and_sizes_alone(base: Btf) -> None:
    split = device(base)
    distilled = distill_base(split)
    inner = distilled.base
    assert inner is not None
    assert inner.base is None
    found = {each.name: each for each in inner.types[1:]}
    assert set(found) == {"int", "long unsigned int", "task", "lock", "state", "wide", "later", "double", "either"}
    task, wide = found["task"], found["wide"]
    assert isinstance(task, Struct)
    assert (task.size, task.members) == (64, ())
    assert isinstance(wide, Enum)
    assert (wide.size, wide.enumerators) == (8, ())
    assert [inner.raw_type(i)[7] & 0x7F for i in (inner.id_of(wide),)] == [Kind.ENUM]
    own = [each.name for each in split.types[split.first_id :]]
    assert [each.name for each in distilled.types[distilled.first_id :]][: len(own)] == own, (
        "own types keep their order"
    )


def test_what_was_distilled_is_found_again(base: Btf) -> None:
    split = device(base)
    again = relocate_base(distill_base(split), base)
    assert again.base is base
    require_same(again, split)
    assert again.by_name("device", Struct).members[1].type is not None
    odd = strip_qualifiers(again.by_name("device", Struct).members[9].type)
    assert isinstance(odd, Struct)
    assert odd.size == 4


def test_another_kernel_has_them_elsewhere(base: Btf) -> None:
    split = device(base)
    other = made_of(
        *reversed([each for each in base.types if each.name and each.name not in {"void", "odd", "lock_t"}])
    )
    again = relocate_base(distill_base(split), other)
    assert other.id_of(other.by_name("task")) != base.id_of(base.by_name("task"))
    target = again.by_name("device", Struct).members[1].type
    assert isinstance(target, Pointer)
    assert strip_qualifiers(target.target) is other.by_name("task")
    assert again.by_name("probe", Function).parameters[0].name == "t"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: [Struct("lock", 8, [Member("l", LONG, 0)])], "no struct 'lock' of 4 bytes"),
        (list, "no struct 'lock' of 4 bytes"),
        (lambda: [Union("lock", 4, [Member("n", INT, 0)])], "no struct 'lock' of 4 bytes"),
        (
            lambda: [Struct("lock", 4, [Member("n", INT, 0)]), Struct("lock", 4, [Member("m", INT, 0)])],
            r"2 types that struct 'lock' of 4 bytes could be: \[",
        ),
    ],
)
def test_a_struct_that_is_held_must_have_its_size(change: Callable[[], list[Type]], message: str) -> None:
    old = made_of(Struct("lock", 4, [Member("n", INT, 0)]))
    split = distill_base(on(old, Struct("device", 4, [Member("lock", Const(old.by_name("lock")), 0)])))
    with pytest.raises(BtfError, match=message):
        relocate_base(split, made_of(INT, *change()))


def test_a_struct_that_is_pointed_to_may_have_any_size() -> None:
    old = made_of(Struct("task", 4, [Member("n", INT, 0)]))
    split = distill_base(on(old, Struct("device", 8, [Member("task", Pointer(old.by_name("task")), 0)])))
    grown = Struct("task", 8, [Member("l", LONG, 0)])
    assert relocate_base(split, made_of(LONG, grown)).by_name("device", Struct).size == 8
    several = made_of(Struct("task", 4, [Member("n", INT, 0)]), grown)
    target = relocate_base(split, several).by_name("device", Struct).members[0].type
    assert isinstance(target, Pointer)
    assert target.target is several.types[1], "of several, the one of its size"


@pytest.mark.parametrize(
    ("type", "other"),
    [
        (INT, Int("int", 4)),
        (INT, Int("int", 8, encoding=IntEncoding.SIGNED)),
        (Float("double", 8), Float("double", 4)),
        (Enum("e", 4, False, [Enumerator("A", 1)]), Enum("e", 1, False, [Enumerator("A", 1)])),
        (Forward("f"), Forward("f", is_union=True)),
        (Forward("f"), Union("f", 4)),
    ],
)
def test_numbers_enums_and_declarations_must_agree(type: Type, other: Type) -> None:  # noqa: A002
    split = distill_base(on(made_of(type), Pointer(type)))
    with pytest.raises(BtfError, match="which the split BTF refers to"):
        relocate_base(split, made_of(other))


def test_a_declaration_is_found_as_a_struct_and_a_wide_enum_as_an_enum() -> None:
    wide = Enum("e", 8, False, [Enumerator("A", 1 << 40)])
    old = made_of(Forward("f"), wide)
    split = distill_base(on(old, Struct("s", 16, [Member("f", Pointer(Forward("f")), 0), Member("e", wide, 64)])))
    new = made_of(wide, Struct("f", 12))
    pointer, enum = (member.type for member in relocate_base(split, new).by_name("s", Struct).members)
    assert isinstance(pointer, Pointer)
    assert pointer.target is new.by_name("f", Struct)
    assert enum is new.by_name("e", Enum)


def test_a_module_file_is_relocated_as_it_is_read(base: Btf, tmp_path: Path) -> None:
    split = device(base)
    distilled = distill_base(split)
    assert distilled.base is not None
    path = tmp_path / "device.ko"
    path.write_bytes(elf({".BTF": distilled.raw, ".BTF.base": distilled.base.raw}))
    require_same(Btf.from_file(path, base), split)
    alone = Btf.from_file(path)
    assert alone.base is not None
    assert alone.base.raw == distilled.base.raw
    with pytest.raises(BtfError, match=r"device\.ko: the base has no"):
        Btf.from_file(path, made_of(INT))


def elf(sections: dict[str, bytes]) -> bytes:
    """An ELF file of 64 bits with these sections."""
    import struct

    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    contents, headers, at = b"", bytes(64), 64
    for name, data in [*sections.items(), (".shstrtab", names)]:
        offset = names.index(b"\0" + name.encode() + b"\0") + 1
        headers += struct.pack("<IIQQQQIIQQ", offset, 1, 0, 0, at, len(data), 0, 0, 1, 0)
        contents += data
        at += len(data)
    count = len(sections) + 2
    start = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 1, 62, 1, 0, 0, at, 0, 64, 0, 0, 64, count, count - 1)
    return start + contents + headers


def test_what_has_no_base_is_refused(base: Btf) -> None:
    with pytest.raises(BtfError, match="no base that could be distilled"):
        distill_base(base)
    with pytest.raises(BtfError, match="no base that could be relocated"):
        relocate_base(base, base)
    with pytest.raises(BtfError, match="in little-endian order cannot be moved"):
        relocate_base(distill_base(device(base)), made_of(INT, byte_order="big"))
    with pytest.raises(BtfError, match="named structs, unions, enums and numbers only"):
        relocate_base(on(made_of(Pointer(INT)), Struct("s", 8, [Member("p", Pointer(INT), 0)])), base)


# --- real kernels -----------------------------------------------------------------------------------------------------


def objects_on(base: Btf) -> Btf:
    """The types of some of this project's own BPF objects as if a module had them: most are any kernel's."""
    found = [Btf.from_file(OBJECTS / f"{name}.bpf.o") for name in ("core", "externs", "globals", "sections")]
    return deduplicate(moved(join_btfs(found).btf, base)).btf


@pytest.fixture(scope="module")
def split() -> Btf:
    return objects_on(read_btf(RUNNING))


def test_types_on_a_real_kernel_come_back(split: Btf) -> None:
    distilled = distill_base(split)
    assert split.base is not None
    assert distilled.base is not None
    assert 5 < len(distilled.base.types) < 200
    require_same(relocate_base(distilled, split.base), split)


@pytest.mark.parametrize("path", kernel_btfs(), ids=name_of)
def test_types_of_one_kernel_are_found_in_the_others(split: Btf, path: Path) -> None:
    other = read_btf(path)
    if other.byte_order != split.byte_order:
        return
    again = relocate_base(distill_base(split), other)
    assert again.base is other
    for number in range(split.first_id, len(split.types)):
        each, found = split.type_by_id(number), again.type_by_id(number - split.first_id + again.first_id)
        assert (type(each), each.name) == (type(found), found.name)
        if not isinstance(each, Struct) or not isinstance(found, Struct):
            continue
        assert [(m.name, m.bit_offset, strip_qualifiers(m.type).kind) for m in found.members] == [
            (m.name, m.bit_offset, strip_qualifiers(m.type).kind) for m in each.members
        ]


# --- hostile bytes ----------------------------------------------------------------------------------------------------


@given(st.data())
def test_garbled_types_are_relocated_or_refused(data: st.DataObject) -> None:
    whole = made_of(Struct("task", 8, [Member("n", INT, 0)]), Enum("e", 4, False, [Enumerator("A", 1)]))
    good = distill_base(
        on(whole, Struct("s", 16, [Member("t", whole.by_name("task"), 0), Member("e", whole.by_name("e"), 64)]))
    )
    assert good.base is not None
    parts = [bytearray(good.raw), bytearray(good.base.raw)]
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.sampled_from(parts))
        part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    try:
        split = Btf.from_bytes(parts[0], Btf.from_bytes(parts[1]))
        relocate_base(split, whole)
        distill_base(split)
    except BtfError:
        return
