"""What all BTF types share: identity, immutability, and references that are resolved when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn, Protocol, overload

from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.btf.kinds import Kind
    from aiobpf.btf.parts import Member

set_slot = object.__setattr__


class Owner(Protocol):
    """What decoded types resolve their references through: a Btf."""

    def type_by_id(self, id: int, /) -> Type: ...  # noqa: A002 - the field's word
    def members_of(self, id: int, /) -> tuple[Member, ...]: ...  # noqa: A002
    def tags_of(self, id: int, component: int = -1, /) -> tuple[str, ...]: ...  # noqa: A002
    def has_tagged_parts(self, id: int, /) -> bool: ...  # noqa: A002


class Immutable:
    """Refuses assignment.

    Hand-made rather than attrs.frozen: 25 attrs classes would take 10 ms of `import aiobpf`, and these have slots that
    are filled late.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __copy__(self) -> Immutable:
        return self

    def __deepcopy__(self, memo: object) -> Immutable:
        return self


class Holder(Immutable):
    """Something that refers to types: by object, or by id in the BTF that owns it until the type is asked for."""

    __slots__ = ("_owner",)

    _owner: Owner | None

    def __init__(self) -> None:
        set_slot(self, "_owner", None)


def resolve(holder: Holder, slot: str) -> Type:
    """The type in *slot*, which holds the type from now on, not its id."""
    found: Type | int = getattr(holder, slot)
    if isinstance(found, int):
        owner = holder._owner
        if owner is None:
            raise BtfError(f"{type(holder).__name__} refers to type id {found} of no BTF")
        found = owner.type_by_id(found)
        set_slot(holder, slot, found)
    return found


class Reference:
    """An attribute that gives a type; its slot (the same name with "_") holds the type, or its id at first."""

    __slots__ = ("_slot",)

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}"

    @overload
    def __get__(self, holder: None, owner: type) -> Reference: ...
    @overload
    def __get__(self, holder: Holder, owner: type) -> Type: ...
    def __get__(self, holder: Holder | None, owner: type) -> Reference | Type:
        if holder is None:
            return self
        found: Type | int = getattr(holder, self._slot)
        return resolve(holder, self._slot) if isinstance(found, int) else found


class Type(Holder):
    """Any BTF type. `name` is "" for an anonymous type and for a kind that has none."""

    __slots__ = ("__weakref__", "_id")

    kind: ClassVar[Kind]
    name: str = ""
    _id: int

    def __init__(self) -> None:
        set_slot(self, "_owner", None)
        set_slot(self, "_id", 0)

    def _adopt(self, owner: Owner, id: int) -> None:  # noqa: A002
        """Make *owner* the BTF that this type belongs to, under *id*."""
        set_slot(self, "_owner", owner)
        set_slot(self, "_id", id)

    def __str__(self) -> str:
        from aiobpf.btf.formatting import format_type

        return format_type(self)

    def __repr__(self) -> str:
        try:
            return f"<{type(self).__name__} {str(self)!r}>"
        except BtfError:  # a reference that leads nowhere must not break a debugger or an error message
            return f"<{type(self).__name__} {self.name!r}>"


class Named(Type):
    """A type with a name."""

    __slots__ = ("name",)

    name: str

    def __init__(self, name: str) -> None:
        super().__init__()
        set_slot(self, "name", name)


class Sized(Named):
    """A type with a name and a size in bytes."""

    __slots__ = ("size",)

    size: int

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name)
        set_slot(self, "size", size)


class Taggable(Named):
    """A type with a name that declaration tags may be on."""

    __slots__ = ("_tags",)

    _tags: tuple[str, ...] | None

    def __init__(self, name: str, tags: Iterable[str]) -> None:
        super().__init__(name)
        set_slot(self, "_tags", tuple(tags))

    @property
    def tags(self) -> tuple[str, ...]:
        """The declaration tags on it (btf_decl_tag), in the order of the BTF."""
        tags = self._tags
        if tags is None:
            tags = () if self._owner is None else self._owner.tags_of(self._id)
            set_slot(self, "_tags", tags)
        return tags


class Modified(Type):
    """A type that is another one, modified: what it refers to is `type`."""

    __slots__ = ("_type",)

    _type: Type | int
    type = Reference()

    def __init__(self, type: Type) -> None:  # noqa: A002 - the field's word
        super().__init__()
        set_slot(self, "_type", type)
