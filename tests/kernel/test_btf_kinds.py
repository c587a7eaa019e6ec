"""Types of every kind go to every kernel: what it does not know is written as something that it does."""

from __future__ import annotations

import pytest

from aiobpf.btf import (
    Array,
    Btf,
    BtfBuilder,
    BtfFeature,
    Const,
    DataSection,
    DeclTag,
    Enum,
    Enumerator,
    Float,
    Forward,
    Function,
    FunctionPrototype,
    Int,
    IntEncoding,
    Kind,
    Linkage,
    Member,
    Parameter,
    Pointer,
    Restrict,
    SectionVariable,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Variable,
    Void,
    Volatile,
    size_of,
)
from aiobpf.kernel import btf_info, load_btf
from aiobpf.kernel.features import missing_btf_features

pytestmark = pytest.mark.root

INT = Int("int", 4, encoding=IntEncoding.SIGNED)


def every_kind() -> BtfBuilder:
    builder = BtfBuilder()
    node = Struct("node", 24, lambda node: [Member("next", Pointer(node), 0), Member("x", INT, 64, tags=["rcu"])])
    bits = Struct("bits", 4, [Member("a", INT, 0, 3), Member("b", INT, 3, 29)], tags=["one"])
    prototype = FunctionPrototype(INT, [Parameter("n", Pointer(node)), Parameter("m", Restrict(Pointer(Void())))])
    counter = Variable("counter", Volatile(INT), Linkage.GLOBAL, tags=["live"])
    limit = Variable("limit", Const(INT), Linkage.STATIC)
    for each in (
        node,
        bits,
        Union("either", 8, [Member("i", INT, 0), Member("p", Pointer(Void()), 0)]),
        Struct("holder", 40, [Member("f", Float("double", 8), 0), Member("a", Array(INT, INT, 8), 64)]),
        Enum("small", 4, enumerators=[Enumerator("A", 0), Enumerator("B", 255)]),
        Enum("signed_one", 4, True, [Enumerator("MINUS", -1)]),
        Enum("wide", 8, False, [Enumerator("MOST", (1 << 64) - 1)]),
        Forward("later"),
        Typedef("alias", Pointer(TypeTag("user", Const(INT)))),
        Function("static_one", prototype, Linkage.STATIC),
        Function("global_one", prototype, Linkage.GLOBAL, parameter_tags=[["arg:nonnull"]]),
        DataSection(".data", 8, [SectionVariable(counter, 0, 4), SectionVariable(limit, 4, 4)]),
        Pointer(TypeTag("address_space(1)", INT, is_attribute=True)),
        DeclTag("deprecated", node, is_attribute=True),
    ):
        builder.add(each)
    return builder


FEATURES = list(BtfFeature)  # in the order in which kernels learnt them
WITHOUT = [pytest.param(set(FEATURES[i:]), id=f"before_{each.name}") for i, each in enumerate(FEATURES)]


@pytest.mark.parametrize("without", [pytest.param(set(), id="as_this_kernel"), *WITHOUT])
def test_what_is_written_instead_is_taken_by_the_kernel(without: set[BtfFeature]) -> None:
    builder = every_kind()
    data = builder.encode(without=without | missing_btf_features(None))
    with load_btf(data) as fd:
        info = btf_info(fd, data=True)
    found = Btf.from_bytes(info.data)
    plain = Btf.from_bytes(builder.encode())
    assert len(found.types) >= len(plain.types)
    for number, each in enumerate(plain.types):
        if isinstance(each, Struct | Union | Enum | Float) and number:
            assert size_of(found.type_by_id(number)) == size_of(each), "ids and sizes stay"


def test_every_kind_is_in_that_btf() -> None:
    assert {each.kind for each in Btf.from_bytes(every_kind().encode()).types} == {*Kind} - {Kind.UNKNOWN, Kind.ENUM64}
