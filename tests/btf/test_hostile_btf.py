"""Any bytes give a Btf or a BtfError, soon, and so does everything that is asked of it afterwards."""

from __future__ import annotations

import struct
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    Const,
    DataSection,
    Enum,
    Enumerator,
    Float,
    Forward,
    Function,
    FunctionPrototype,
    Int,
    Kind,
    Member,
    Parameter,
    Pointer,
    SectionVariable,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Unknown,
    Variable,
    alignment_of,
    deduplicate,
    format_c,
    format_type,
    size_of,
    strip_qualifiers,
)
from aiobpf.btf.elf_section import find_section
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Iterator

INT = Int("int", 4)


def header(
    types: int,
    strings: int,
    *,
    magic: int = 0xEB9F,
    version: int = 1,
    flags: int = 0,
    length: int = 24,
    type_at: int = 0,
    string_at: int | None = None,
) -> bytes:
    at = types if string_at is None else string_at
    return struct.pack("<HBBIIIII", magic, version, flags, length, type_at, types, at, strings)


def raw(types: bytes, strings: bytes = b"\0name\0", layout: bytes | None = None) -> bytes:
    """A BTF of these sections, in the long form of the header if there is a *layout*."""
    if layout is None:
        return header(len(types), len(strings)) + types + strings
    long = header(len(types), len(strings), length=32) + struct.pack("<II", len(types) + len(strings), len(layout))
    return long + types + strings + layout


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def kind(number: int, vlen: int = 0, flag: int = 0) -> int:
    return flag << 31 | number << 24 | vlen


@contextmanager
def soon(seconds: float = 2.0) -> Iterator[None]:
    """The bound on work: generous, as machines differ; what it is there to catch takes minutes."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def touch_everything(btf: Btf) -> None:
    """Ask a Btf for all that there is; each answer may be a BtfError and nothing else."""
    for number in range(len(btf.types)):
        with suppress(BtfError):
            found = btf.type_by_id(number)
            for ask in (repr, str, format_type, format_c, size_of, alignment_of, strip_qualifiers, touch_parts):
                with suppress(BtfError):
                    ask(found)
            with suppress(BtfError):
                btf.all_by_name(found.name)
                btf.candidates(found.name)
                BtfBuilder().add(found)


def touch_parts(found: Any) -> None:
    for attribute in ("target", "type", "element", "index", "return_type", "tags", "parameter_tags"):
        with suppress(BtfError):
            getattr(found, attribute, None)
    for attribute in ("members", "variables", "parameters", "enumerators"):
        with suppress(BtfError):
            for part in getattr(found, attribute, ()):
                with suppress(BtfError):
                    repr(part)
                    getattr(part, "type", None)
                    getattr(part, "variable", None)
                    getattr(part, "tags", None)


SHORT = raw(words(1, kind(1), 4, 32))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "BTF header needs 24 bytes, found 0"),
        (SHORT[:23], "BTF header needs 24 bytes, found 23"),
        (bytes(64), "no BTF: the first two bytes are 0000"),
        (header(0, 1, version=2) + b"\0", "BTF version 2 with flags 0x0 is unknown"),
        (header(0, 1, flags=3) + b"\0", "BTF version 1 with flags 0x3 is unknown"),
        (header(0, 1, length=23) + b"\0", "BTF header claims 23 bytes in a file of 25"),
        (header(0, 1, length=26) + b"\0", "BTF header claims 26 bytes in a file of 25"),
        (header(0, 1, length=0xFFFFFFFF) + b"\0", "BTF header claims 4294967295 bytes"),
        (SHORT[:24], "BTF type section of 16 bytes at 24 ends past the file's 24 bytes"),
        (SHORT[:-1], "BTF string section of 6 bytes at 40 ends past the file's 45 bytes"),
        (header(8, 1, type_at=0xFFFFFFF8) + b"\0" * 9, "BTF type section of 8 bytes at 4294967312 ends past"),
        (header(0, 1, string_at=0xFFFFFFFF) + b"\0", "BTF string section of 1 bytes at 4294967319 ends past"),
        (header(0xFFFFFFFF, 1, string_at=0) + b"\0", "BTF type section of 4294967295 bytes at 24 ends past"),
        (header(0, 1, type_at=2, string_at=0) + b"\0\0\0\0", "is not aligned to 4 bytes"),
        (header(0, 0), "BTF has no string section"),
        (raw(b"", b"\0a"), "does not end with a zero byte"),
        (raw(b"", b"a\0"), "does not begin with the empty string"),
        (raw(words(0, 0, 0)), "the type at offset 0 of 12 is of the unknown kind 0"),
        (raw(words(0, kind(20), 0)), "the type at offset 0 of 12 is of the unknown kind 20, and no layout section"),
        (raw(words(0, kind(127), 0)), "unknown kind 127"),
        (raw(words(0, kind(2), 0) + b"\0" * 4), "the type at offset 12 of 16 runs past the end of the type section"),
        (raw(words(1, kind(1), 4)), "the type at offset 0 of 12 runs past the end"),
        (raw(words(1, kind(4, vlen=0xFFFFFF), 4)), "the type at offset 0 of 12 runs past the end"),
        (raw(words(1, kind(6, vlen=1), 4)), "the type at offset 0 of 12 runs past the end"),
        (raw(words(6, kind(2), 0)), "the type at offset 0 of 12 has its name at 6, past the strings"),
        (raw(words(0xFFFFFFFF, kind(2), 0)), "has its name at 4294967295, past the strings"),
        (raw(b"", layout=b"\0\0\0"), "layout section of 3 bytes is not made of entries"),
        (raw(b"", layout=b"")[:28], "BTF header claims 32 bytes in a file of 28"),
        (raw(b"", layout=b"\0\0\0\0")[:-1], "BTF layout section of 4 bytes at 38 ends past"),
    ],
)
def test_a_broken_frame_is_named_at_once(data: bytes, message: str) -> None:
    with soon(), pytest.raises(BtfError, match=message.replace("(", r"\(")):
        Btf.from_bytes(data)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (words(1, kind(1), 0, 32), r"type \[1\] 'name': an integer of 32 bits at bit 0 does not fit in 0 bytes"),
        (words(1, kind(1), 4, 33), "an integer of 33 bits at bit 0 does not fit in 4 bytes"),
        (words(1, kind(1), 4, 8 << 16 | 32), "an integer of 32 bits at bit 8 does not fit in 4 bytes"),
        (words(1, kind(1), 1 << 30, 32), "does not fit in 1073741824 bytes"),
        (words(1, kind(6), 3), "an enum cannot have 3 bytes"),
        (words(1, kind(19), 0), "an enum cannot have 0 bytes"),
        (words(1, kind(16), 5), "a floating-point number cannot have 5 bytes"),
        (words(1, kind(12, vlen=3), 0), "3 is not a valid Linkage"),
        (words(1, kind(14), 0, 9), "9 is not a valid Linkage"),
        (words(0, kind(6, vlen=1), 4, 99, 0), r"type \[1\] '': string 99 is past the end of the strings at 6"),
        (words(0, kind(13, vlen=1), 0, 99, 0), "string 99 is past the end"),
    ],
)
def test_a_type_that_cannot_be_is_named_when_it_is_asked_for(types: bytes, message: str) -> None:
    btf = Btf.from_bytes(raw(types))
    for _ in range(2):
        with pytest.raises(BtfError, match=message):
            btf.type_by_id(1)
    touch_everything(btf)


@pytest.mark.parametrize(
    ("types", "attribute"),
    [
        (words(0, kind(2), 9), "target"),
        (words(1, kind(8), 9), "type"),
        (words(0, kind(9), 0xFFFFFFFF), "type"),
        (words(0, kind(3), 0, 9, 0, 1), "element"),
        (words(0, kind(3), 0, 0, 9, 1), "index"),
        (words(0, kind(13), 9), "return_type"),
        (words(1, kind(12), 9), "type"),
        (words(1, kind(14), 9, 0), "type"),
    ],
)
def test_a_reference_past_the_end_is_named_when_it_is_followed(types: bytes, attribute: str) -> None:
    found = Btf.from_bytes(raw(types)).type_by_id(1)
    for _ in range(2):
        with pytest.raises(BtfError, match=r"there is no type \[\d+\]: the last is \[1\]"):
            getattr(found, attribute)
    touch_parts(found)
    with pytest.raises(BtfError):
        BtfBuilder().add(found)


def test_a_function_of_no_prototype_and_a_section_of_no_variable() -> None:
    integer = words(1, kind(1), 4, 32)
    btf = Btf.from_bytes(raw(integer + words(1, kind(12), 1) + words(1, kind(15, vlen=1), 4, 1, 0, 4)))
    function, section = btf.by_name("name", Function), btf.by_name("name", DataSection)
    with pytest.raises(BtfError, match="not a prototype"):
        function.type
    with pytest.raises(BtfError, match="which is no variable"):
        section.variables[0].variable


def test_functions_that_are_each_others_prototype() -> None:
    btf = Btf.from_bytes(raw(words(1, kind(12), 2) + words(1, kind(12), 1)))
    assert [repr(each) for each in btf.types[1:]] == ["<Function 'name'>"] * 2
    touch_everything(btf)


def test_members_with_broken_names_are_found_when_asked_for() -> None:
    btf = Btf.from_bytes(raw(words(1, kind(4, vlen=1), 4, 77, 1, 0)))
    found = btf.by_name("name", Struct)
    with pytest.raises(BtfError, match="string 77 is past the end"):
        found.members


def test_typedefs_in_a_circle_end() -> None:
    btf = Btf.from_bytes(raw(words(1, kind(8), 2) + words(1, kind(8), 1) + words(0, kind(2), 1)))
    with soon():
        for ask in (size_of, alignment_of, strip_qualifiers):
            with pytest.raises(BtfError, match="leads through more than 64 types"):
                ask(btf.type_by_id(1))
        assert format_type(btf.type_by_id(3)) == "name *"
        assert BtfBuilder().add(btf.type_by_id(1)) == 1
    const = Btf.from_bytes(raw(words(0, kind(10), 1)))
    with soon():
        assert "/* ... */" in format_type(const.type_by_id(1))
        touch_everything(const)


def test_a_struct_in_itself_ends() -> None:
    btf = Btf.from_bytes(raw(words(0, kind(4, vlen=2), 4, 1, 1, 0, 1, 1, 0)))
    found = btf.type_by_id(1)
    with soon(10), pytest.raises(BtfError, match="contains itself"):
        alignment_of(found)
    with soon(10):
        assert "/* ... */" in format_c(found)
        assert BtfBuilder().add(found) == 1


def test_a_chain_of_100_000_types_ends() -> None:
    count = 100_000
    types = b"".join([words(0, kind(2), i + 2) for i in range(count)]) + words(1, kind(1), 4, 32)
    btf = Btf.from_bytes(raw(types))
    first = btf.type_by_id(1)
    with soon(20):
        assert format_type(first).startswith("/* ... */ ***")
        builder = BtfBuilder()
        builder.add(first)
        again = Btf.from_bytes(builder.encode())
    assert len(again.types) == len(btf.types)


def test_prototypes_that_branch_without_end_end() -> None:
    types = words(0, kind(13, vlen=3), 1, 0, 1, 0, 1, 0, 1)
    with soon(10):
        touch_everything(Btf.from_bytes(raw(types)))


def test_one_long_name_for_all_types_costs_little() -> None:
    strings = b"\0" + b"a" * 1_000_000 + b"\0"
    types = b"".join([words(1 + i, kind(4), 4) for i in range(100_000)])
    with soon(10):
        btf = Btf.from_bytes(raw(types, strings))
        assert btf.all_by_name("b") == []
        assert btf.candidates("a" * 600) == []
    with soon(), pytest.raises(BtfError, match="the name at 1 of the strings has more than 1024 bytes"):
        btf.type_by_id(1)
    assert len(btf.string_at(1)) == 1_000_000


def test_names_that_collide_cost_one_look_each() -> None:
    types = words(1, kind(4), 4) * 200_000
    with soon(10):
        btf = Btf.from_bytes(raw(types))
        assert btf.all_by_name("other") == []
        assert len(btf.all_by_name("name", Union)) == 0


def test_a_large_vlen_in_a_small_file_allocates_nothing() -> None:
    btf = Btf.from_bytes(raw(words(0, kind(3), 0, 2, 2, 0xFFFFFFFF) + words(1, kind(4), 0xFFFFFFFF)))
    assert size_of(btf.type_by_id(1)) == 0xFFFFFFFF**2


# --- kinds from the future --------------------------------------------------------------------------------------------

LAYOUT = b"".join(struct.pack("<BBH", *entry) for entry in [(0, 0, 0)] * 20 + [(4, 0, 0), (0, 12, 0), (8, 4, 0)])


def test_the_layout_section_lets_unknown_kinds_be_skipped() -> None:
    types = (
        words(1, kind(20), 7, 0)
        + words(0, kind(21, vlen=2), 0, *range(6))
        + words(0, kind(22, vlen=70_000), 0, 0, 0, *range(70_000))
        + words(1, kind(4), 12)
    )
    btf = Btf.from_bytes(raw(types, layout=LAYOUT))
    unknown = btf.type_by_id(1)
    assert isinstance(unknown, Unknown)
    assert (unknown.name, unknown.kind_number, unknown.kind) == ("name", 20, Kind.UNKNOWN)
    assert [type(each).__name__ for each in btf.types[1:]] == ["Unknown", "Unknown", "Unknown", "Struct"]
    assert btf.by_name("name", Struct).size == 12
    touch_everything(btf)
    with pytest.raises(BtfError, match="unknown kind 20 and cannot be encoded"):
        BtfBuilder().add(unknown)
    assert btf.ids_of_kind(Kind.UNKNOWN) == [1, 2, 3]
    assert btf.ids_of_kind(Kind.STRUCT) == [4]
    with pytest.raises(BtfError, match="of the unknown kind 20"):
        deduplicate(btf)
    with pytest.raises(BtfError, match="has no size"):
        size_of(unknown)


def test_a_header_of_types_with_an_unknown_kind_says_void_where_that_is_possible() -> None:
    pointer, plain = words(0, kind(2), 1), words(1, kind(8), 2)
    text = format_c(Btf.from_bytes(raw(words(1, kind(20), 7, 0) + pointer + plain, layout=LAYOUT)))
    assert "typedef void *name;" in text
    held = words(0, kind(4, vlen=1), 8, 1, 1, 0)
    with pytest.raises(BtfError, match="which has no size"):
        format_c(Btf.from_bytes(raw(words(1, kind(20), 7, 0) + held + words(1, kind(8), 2), layout=LAYOUT)))


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (words(1, kind(23), 0), "unknown kind 23"),
        (words(1, kind(22, vlen=0xFFFFFF), 0, 0), "runs past the end"),
        (words(1, kind(20), 0), "runs past the end"),
    ],
)
def test_the_layout_section_does_not_lie(types: bytes, message: str) -> None:
    with pytest.raises(BtfError, match=message):
        Btf.from_bytes(raw(types, layout=LAYOUT))


def test_the_wide_layout_of_info_is_read() -> None:
    count = 70_000
    types = words(1, kind(6, vlen=count), 4) + b"".join(words(1, i) for i in range(count))
    found = Btf.from_bytes(raw(types)).type_by_id(1)
    assert isinstance(found, Enum)
    assert found.enumerators[-1].value == count - 1


def test_a_header_of_the_future_is_read() -> None:
    types, strings = words(1, kind(4), 4), b"\0name\0"
    data = header(len(types), len(strings), length=48) + bytes(24) + types + strings
    assert Btf.from_bytes(data).by_name("name", Struct).size == 4


# --- fuzzing ----------------------------------------------------------------------------------------------------------


def seed(order: Any) -> bytes:
    builder = BtfBuilder(order)
    node = Struct("node", 24, lambda node: [Member("next", Pointer(node), 0, tags=["rcu"]), Member("b", INT, 64, 3)])
    prototype = FunctionPrototype(INT, [Parameter("n", Pointer(node))])
    variable = Variable("counter", Const(INT), tags=["live"])
    for each in [
        node,
        Union("either", 8, [Member("a", Array(INT, INT, 4), 0)]),
        Enum("e", 4, True, [Enumerator("A", -1)]),
        Enum("wide", 8, False, [Enumerator("B", 1 << 40)]),
        Typedef("alias", TypeTag("user", Forward("later"))),
        Function("visit", prototype, parameter_tags=[["ctx"]]),
        DataSection(".bss", 4, [SectionVariable(variable, 0, 4)]),
        Float("double", 8),
    ]:
        builder.add(each)
    return builder.encode()


SEEDS = [seed("little"), seed("big")]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 1 << 12), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 1 << 12),
)
def test_garbled_bytes_give_a_btf_or_a_btf_error(data: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    garbled = bytearray(data)
    for place, byte in changes:
        garbled[place % len(garbled)] = byte
    if cut < len(garbled) and cut % 3 == 0:
        del garbled[cut:]
    with soon(20), suppress(BtfError):
        touch_everything(Btf.from_bytes(garbled))


@given(st.binary(max_size=200), st.sampled_from(["<", ">"]))
def test_arbitrary_types_give_a_btf_or_a_btf_error(data: bytes, order: str) -> None:
    types = data[: len(data) // 4 * 4]
    head = struct.pack(order + "HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), 6)
    with soon(20), suppress(BtfError):
        touch_everything(Btf.from_bytes(head + types + b"\0name\0"))


WORD = st.one_of(st.integers(0, 12), st.integers(0, 0xFFFFFFFF))


RECORD = st.tuples(st.integers(1, 19), st.integers(0, 3), st.booleans(), st.lists(WORD, min_size=14, max_size=14))


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORD, max_size=12))
def test_well_framed_nonsense_gives_answers_or_btf_errors(records: list[tuple[int, int, bool, list[int]]]) -> None:
    fixed = {1: 1, 3: 3, 14: 1, 17: 1}
    each = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}
    types = b""
    for number, vlen, flag, rest in records:
        length = fixed.get(number, 0) + vlen * each.get(number, 0)
        types += words(rest[0] % 6, kind(number, vlen, int(flag)), *rest[1 : length + 2])
    with soon(20):
        touch_everything(Btf.from_bytes(raw(types)))


@given(st.binary(max_size=300), st.sampled_from([1, 2]), st.sampled_from([1, 2]))
def test_any_elf_bytes_give_a_section_or_a_btf_error(data: bytes, bits: int, order: int) -> None:
    with suppress(BtfError):
        found = find_section(b"\x7fELF" + bytes([bits, order]) + data, ".BTF")
        assert found is None or len(found) <= len(data)


@pytest.mark.parametrize("wide", [True, False])
def test_extended_section_numbers_are_followed_within_bounds(wide: bool) -> None:
    offset = 40 if wide else 32
    ident = bytearray(b"\x7fELF" + bytes([2 if wide else 1, 1]) + bytes(58))
    struct.pack_into("<Q" if wide else "<I", ident, offset, 64)  # e_shoff, and e_shnum of 0
    struct.pack_into("<HHH", ident, 58 if wide else 46, 64, 0, 0xFFFF)
    first = bytearray(64)
    struct.pack_into("<Q" if wide else "<I", first, 32 if wide else 20, 1 << 31)
    with soon(), pytest.raises(BtfError, match="has no room for its 2147483648 section headers"):
        find_section(bytes(ident + first), ".BTF")


def test_kinds_of_the_table_are_all_known_to_the_index() -> None:
    lengths = {Kind.INT: 4, Kind.ARRAY: 12, Kind.VAR: 4, Kind.DECL_TAG: 4}
    for number in Kind:
        if number > 0:
            btf = Btf.from_bytes(raw(words(0, kind(number), 4) + bytes(lengths.get(number, 0))))
            assert len(btf.types) == 2


def test_a_type_is_made_of_any_buffer() -> None:
    for data in (SHORT, bytearray(SHORT), memoryview(SHORT)):
        found: Type = Btf.from_bytes(data).type_by_id(1)
        assert found.name == "name"
