"""Types made of one other: pointers, arrays, typedefs, qualifiers and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from aiobpf.btf.kinds import Kind
from aiobpf.btf.type_base import Modified, Reference, Taggable, Type, set_slot

if TYPE_CHECKING:
    from collections.abc import Iterable


@final
class Pointer(Type):
    """A pointer to *target*."""

    __slots__ = ("_target",)

    kind = Kind.PTR
    _target: Type | int
    target = Reference()

    def __init__(self, target: Type) -> None:
        super().__init__()
        set_slot(self, "_target", target)


@final
class Array(Type):
    """*count* elements of type *element*; *index* is the type of the index, which nothing depends on."""

    __slots__ = ("_element", "_index", "count")

    kind = Kind.ARRAY
    _element: Type | int
    _index: Type | int
    count: int
    element = Reference()
    index = Reference()

    def __init__(self, element: Type, index: Type, count: int) -> None:
        super().__init__()
        set_slot(self, "_element", element)
        set_slot(self, "_index", index)
        set_slot(self, "count", count)


@final
class Typedef(Taggable):
    """Another *name* for *type*."""

    __slots__ = ("_type",)

    kind = Kind.TYPEDEF
    _type: Type | int
    type = Reference()

    def __init__(self, name: str, type: Type, tags: Iterable[str] = ()) -> None:  # noqa: A002
        super().__init__(name, tags)
        set_slot(self, "_type", type)


@final
class Volatile(Modified):
    """*type*, volatile."""

    __slots__ = ()

    kind = Kind.VOLATILE


@final
class Const(Modified):
    """*type*, const."""

    __slots__ = ()

    kind = Kind.CONST


@final
class Restrict(Modified):
    """*type* (a pointer), restrict."""

    __slots__ = ()

    kind = Kind.RESTRICT


@final
class TypeTag(Modified):
    """*type* with a tag that the verifier may look at: "user", "percpu", "rcu", "kptr". Since 5.17.

    With *is_attribute* (since 6.15) the name is a whole attribute, such as "address_space(1)".
    """

    __slots__ = ("is_attribute", "name")

    kind = Kind.TYPE_TAG
    name: str
    is_attribute: bool

    def __init__(self, name: str, type: Type, is_attribute: bool = False) -> None:  # noqa: A002
        super().__init__(type)
        set_slot(self, "name", name)
        set_slot(self, "is_attribute", is_attribute)


@final
class DeclTag(Modified):
    """A tag on a declaration, as BTF encodes it; it is found easier in the `tags` of what it is on.

    *component_index* is the member or parameter meant, or -1 for *type* itself. *is_attribute* as in TypeTag.
    """

    __slots__ = ("component_index", "is_attribute", "name")

    kind = Kind.DECL_TAG
    name: str
    component_index: int
    is_attribute: bool

    def __init__(
        self,
        name: str,
        type: Type,  # noqa: A002
        component_index: int = -1,
        is_attribute: bool = False,
    ) -> None:
        super().__init__(type)
        set_slot(self, "name", name)
        set_slot(self, "component_index", component_index)
        set_slot(self, "is_attribute", is_attribute)
