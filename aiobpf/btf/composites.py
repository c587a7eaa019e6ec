"""Types made of several others: structs, unions, functions, variables and data sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from aiobpf.btf.kinds import Kind, Linkage
from aiobpf.btf.parts import Member, Parameter
from aiobpf.btf.type_base import Holder, Reference, Sized, Taggable, Type, resolve, set_slot
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Composite(Taggable):
    """A struct or union."""

    __slots__ = ("_members", "size")

    size: int
    _members: tuple[Member, ...] | None

    def __init__(
        self,
        name: str,
        size: int,
        members: Iterable[Member] | Callable[[Composite], Iterable[Member]] = (),
        tags: Iterable[str] = (),
    ) -> None:
        super().__init__(name, tags)
        set_slot(self, "size", size)
        set_slot(self, "_members", tuple(members(self) if callable(members) else members))

    @property
    def members(self) -> tuple[Member, ...]:
        found = self._members
        if found is None:
            found = () if self._owner is None else self._owner.members_of(self._id)
            set_slot(self, "_members", found)
        return found


@final
class Struct(Composite):
    """A struct of *size* bytes. *members* may be a function of the struct, for one that refers to itself."""

    __slots__ = ()

    kind = Kind.STRUCT


@final
class Union(Composite):
    """A union of *size* bytes. *members* may be a function of the union, for one that refers to itself."""

    __slots__ = ()

    kind = Kind.UNION


@final
class FunctionPrototype(Type):
    """What functions of one shape take and return.

    Several functions may share one, so its parameters carry no tags; those of `Function.parameters` do.
    """

    __slots__ = ("_return_type", "parameters")

    kind = Kind.FUNC_PROTO
    parameters: tuple[Parameter, ...]
    _return_type: Type | int
    return_type = Reference()

    def __init__(self, return_type: Type, parameters: Iterable[Parameter] = ()) -> None:
        super().__init__()
        set_slot(self, "_return_type", return_type)
        set_slot(self, "parameters", tuple(parameters))


@final
class Function(Taggable):
    """A function; its *type* is the prototype."""

    __slots__ = ("_parameter_tags", "_type", "linkage")

    kind = Kind.FUNC
    linkage: Linkage
    _type: FunctionPrototype | int
    _parameter_tags: tuple[tuple[str, ...], ...] | None

    def __init__(
        self,
        name: str,
        type: FunctionPrototype,  # noqa: A002
        linkage: Linkage = Linkage.GLOBAL,
        tags: Iterable[str] = (),
        parameter_tags: Iterable[Iterable[str]] = (),
    ) -> None:
        super().__init__(name, tags)
        set_slot(self, "_type", type)
        set_slot(self, "linkage", linkage)
        set_slot(self, "_parameter_tags", tuple(tuple(each) for each in parameter_tags))

    @property
    def type(self) -> FunctionPrototype:
        found = resolve(self, "_type")
        if not isinstance(found, FunctionPrototype):
            # Not its repr, which would ask for this type again when two functions are each other's.
            raise BtfError(f"function {self.name!r} has for type the {found.kind.name} {found.name!r}, not a prototype")
        return found

    @property
    def parameter_tags(self) -> tuple[tuple[str, ...], ...]:
        """The declaration tags on each parameter; () where none has any."""
        tags = self._parameter_tags
        if tags is None:
            owner = self._owner
            count = len(self.type.parameters)
            # Most functions have none, and a hostile file may have many of a long prototype.
            is_tagged = owner is not None and owner.has_tagged_parts(self._id)
            tags = tuple(owner.tags_of(self._id, i) for i in range(count)) if owner is not None and is_tagged else ()
            set_slot(self, "_parameter_tags", tags)
        return tags

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The prototype's parameters, with the tags that this function puts on them."""
        tags = self.parameter_tags
        if not any(tags):
            return self.type.parameters
        return tuple(
            Parameter(each.name, each.type, tags[i] if i < len(tags) else ())
            for i, each in enumerate(self.type.parameters)
        )


@final
class Variable(Taggable):
    """A global variable."""

    __slots__ = ("_type", "linkage")

    kind = Kind.VAR
    linkage: Linkage
    _type: Type | int
    type = Reference()

    def __init__(
        self,
        name: str,
        type: Type,  # noqa: A002
        linkage: Linkage = Linkage.GLOBAL,
        tags: Iterable[str] = (),
    ) -> None:
        super().__init__(name, tags)
        set_slot(self, "_type", type)
        set_slot(self, "linkage", linkage)


@final
class SectionVariable(Holder):
    """A variable's place in its section, in bytes.

    In an object file *offset* is 0 for every variable, and *size* of the section too: the compiler leaves them to the
    symbol table. *variable* is a Function for an entry of .ksyms that is a kernel function.
    """

    __slots__ = ("_variable", "offset", "size")

    offset: int
    size: int
    _variable: Variable | Function | int

    def __init__(self, variable: Variable | Function, offset: int, size: int) -> None:
        super().__init__()
        set_slot(self, "_variable", variable)
        set_slot(self, "offset", offset)
        set_slot(self, "size", size)

    @property
    def variable(self) -> Variable | Function:
        found = resolve(self, "_variable")
        if not isinstance(found, Variable | Function):
            raise BtfError(f"a data section holds the {found.kind.name} {found.name!r}, which is no variable")
        return found

    def __repr__(self) -> str:
        return f"<SectionVariable at {self.offset}, {self.size} bytes>"


@final
class DataSection(Sized):
    """The variables of one ELF section."""

    __slots__ = ("variables",)

    kind = Kind.DATASEC
    variables: tuple[SectionVariable, ...]

    def __init__(self, name: str, size: int, variables: Iterable[SectionVariable] = ()) -> None:
        super().__init__(name, size)
        set_slot(self, "variables", tuple(variables))
