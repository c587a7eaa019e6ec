"""The smallest BTF for some relocations."""

from __future__ import annotations

from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    CoreRelocation,
    CoreRelocationKind,
    Enum,
    Enumerator,
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
    minimal_btf,
    relocate,
)

INT = Int("int", 4, encoding=IntEncoding.SIGNED)
K = CoreRelocationKind


def made_of(*types: Type, byte_order: str = "little") -> Btf:
    builder = BtfBuilder("big" if byte_order == "big" else "little")
    for each in types:
        builder.add(each)
    return Btf.from_bytes(builder.encode())


def asked(local: Btf, name: str, access: str, kind: K = K.FIELD_BYTE_OFFSET) -> CoreRelocation:
    type_id = local.id_of(local.by_name(name))
    return CoreRelocation(type_id, local, access, kind)


def same_answers(relocations: list[CoreRelocation], kernel: Btf) -> Btf:
    """The smallest BTF, which gives what *kernel* gives."""
    small = minimal_btf([relocations], kernel)
    wanted = [(each.target, each.poison) for each in relocate(relocations, [kernel])]
    assert [(each.target, each.poison) for each in relocate(relocations, [small])] == wanted
    return small


def test_a_struct_keeps_its_size_and_the_member_that_is_asked_for() -> None:
    local = made_of(Struct("task", 4, [Member("pid", INT, 0)]))
    other = Struct("other", 8, [Member("x", INT, 0)])
    kernel = made_of(Struct("task", 64, [Member("state", INT, 0), Member("o", other, 64), Member("pid", INT, 256)]))
    small = same_answers([asked(local, "task", "0:0")], kernel)
    task = small.by_name("task", Struct)
    assert (task.size, [(each.name, each.bit_offset) for each in task.members]) == (64, [("pid", 256)])
    assert not small.all_by_name("other")


def test_members_of_anonymous_structs_come_with_what_is_around_them() -> None:
    local = made_of(Struct("sk", 4, [Member("port", INT, 0)]))
    inner = Union("", 8, [Member("", Struct("", 8, [Member("pad", INT, 0), Member("port", INT, 32)]), 0)])
    kernel = made_of(Struct("sk", 24, [Member("a", INT, 0), Member("", inner, 64), Member("b", INT, 128)]))
    small = same_answers([asked(local, "sk", "0:0")], kernel)
    assert [each.name for each in small.by_name("sk", Struct).members] == [""]
    assert relocate([asked(local, "sk", "0:0")], [small])[0].target == 12


def test_pointers_that_nobody_follows_point_to_void() -> None:
    def task(offset: int) -> Struct:
        mm = Struct("mm", 4, [Member("users", INT, 0)])
        return Struct(
            "task", 24, lambda it: [Member("next", Pointer(it), offset), Member("mm", Pointer(mm), offset + 64)]
        )

    local = made_of(task(0))
    small = same_answers([asked(local, "task", "0:0"), asked(local, "task", "0:1")], made_of(task(64)))
    following, mm = (member.type for member in small.by_name("task", Struct).members)
    assert isinstance(following, Pointer)
    assert isinstance(mm, Pointer)
    assert following.target is small.by_name("task", Struct), "it is there for its own sake"
    assert isinstance(mm.target, Void)


def test_arrays_nested_structs_and_typedefs_are_followed() -> None:
    def types(first: int) -> Struct:
        pair = Struct("pair", 8, [Member("a", INT, 0), Member("b", INT, 32)])
        pairs = Typedef("pairs", Array(pair, INT, 4))
        return Struct("list", first + 32, [Member("unused", INT, 0), Member("pairs", pairs, first * 8)])

    small = same_answers([asked(made_of(types(4)), "list", "0:1:2:1")], made_of(types(16)))
    assert [each.name for each in small.by_name("pair", Struct).members] == ["b"]


def test_all_candidates_that_match_are_kept() -> None:
    """What one relocation narrows down must be narrowed down alike for the next."""
    local = made_of(Struct("s", 8, [Member("a", INT, 0), Member("b", INT, 32)]))
    kernel = made_of(
        Struct("s", 12, [Member("a", INT, 0), Member("x", INT, 32)]),
        Struct("s", 16, [Member("a", INT, 0), Member("b", INT, 96)]),
        Struct("s", 8, [Member("other", INT, 0)]),
    )
    small = same_answers([asked(local, "s", "0:0"), asked(local, "s", "0:1"), asked(local, "s", "0:0")], kernel)
    assert [each.size for each in small.all_by_name("s", Struct)] == [12, 16]


def test_what_is_not_there_stays_not_there() -> None:
    local = made_of(Struct("s", 4, [Member("gone", INT, 0)]), Struct("none", 4, [Member("x", INT, 0)]))
    kernel = made_of(Struct("s", 4, [Member("a", INT, 0)]))
    small = same_answers([asked(local, "s", "0:0", K.FIELD_EXISTS), asked(local, "none", "0", K.TYPE_EXISTS)], kernel)
    assert len(small.types) == 1


def test_enums_are_kept_whole_and_types_with_what_they_compare() -> None:
    handler = Typedef("handler", Pointer(FunctionPrototype(INT, [Parameter("t", Pointer(Struct("task", 8)))])))
    colour = Enum("colour", 4, False, [Enumerator("RED", 1), Enumerator("BLUE", 2)])
    local = made_of(handler, Enum("colour", 4, False, [Enumerator("BLUE", 0)]), Struct("m", 4, [Member("a", INT, 0)]))
    kernel = made_of(
        handler, colour, Struct("m", 16, [Member("a", INT, 64), Member("p", Pointer(Struct("far", 4)), 0)])
    )
    small = same_answers(
        [
            asked(local, "handler", "0", K.TYPE_EXISTS),
            asked(local, "colour", "0", K.ENUMVAL_VALUE),
            asked(local, "m", "0", K.TYPE_MATCHES),
            asked(local, "m", "0", K.TYPE_SIZE),
        ],
        kernel,
    )
    assert len(small.by_name("colour", Enum).enumerators) == 2
    assert {each.name for each in small.types} >= {"handler", "task", "m", "far"}


def test_an_array_without_elements_does_not_become_the_last() -> None:
    tail = Array(INT, INT, 0)
    local = made_of(Struct("s", 4, [Member("n", INT, 0), Member("data", Array(INT, INT, 0), 32)]))
    kernel = made_of(Struct("s", 12, [Member("n", INT, 0), Member("data", tail, 32), Member("after", INT, 64)]))
    same_answers([asked(local, "s", "0:1", K.FIELD_EXISTS), asked(local, "s", "0:1:3")], kernel)


def test_a_kernel_of_32_bits_stays_one() -> None:
    local = made_of(Struct("s", 16, [Member("p", Pointer(INT), 0), Member("q", Pointer(INT), 64)]))
    kernel = made_of(Int("long int", 4), Struct("s", 8, [Member("p", Pointer(INT), 0), Member("q", Pointer(INT), 32)]))
    small = same_answers([asked(local, "s", "0:1", K.FIELD_BYTE_SIZE), asked(local, "s", "0:1")], kernel)
    assert small.all_by_name("long int")


def test_the_other_byte_order_and_several_objects() -> None:
    local = made_of(Struct("s", 8, [Member("a", INT, 0), Member("b", INT, 32)]))
    kernel = made_of(Struct("s", 16, [Member("b", INT, 0), Member("a", INT, 96)]), byte_order="big")
    small = minimal_btf([[asked(local, "s", "0:0")], [asked(local, "s", "0:1")]], kernel)
    assert small.byte_order == "big"
    assert [each.name for each in small.by_name("s", Struct).members] == ["b", "a"]
