"""Types as C text.

Bounded in depth and length: types of a hostile BTF may contain themselves, or branch without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobpf.btf.composites import (
    DataSection,
    Function,
    FunctionPrototype,
    Struct,
    Union,
    Variable,
)
from aiobpf.btf.derived import Array, Const, DeclTag, Pointer, Restrict, Typedef, TypeTag, Volatile
from aiobpf.btf.kinds import Linkage
from aiobpf.btf.scalars import Enum, Forward, Void

if TYPE_CHECKING:
    from aiobpf.btf.btf import Btf
    from aiobpf.btf.parts import Parameter
    from aiobpf.btf.type_base import Type

_MAX_CHAIN: Final = 64
_MAX_NESTING: Final = 16
_MAX_PIECES: Final = 20_000
"""Members, parameters, and steps from a pointer to what it points to."""
_MAX_PIECES_OF_A_NAME: Final = 512
_MAX_CHARACTERS: Final = 1 << 22
"""Of all pieces, each as often as it is written anew: any of them may have names of 64 KB."""
_CUT: Final = "/* ... */"


def format_type(type: Type, name: str = "") -> str:  # noqa: A002
    """*type* as C names it, or with *name* the declaration of a variable: "int (*handler)(struct pt_regs *)".

    A struct, union or enum without a name is written in full by `format_c` and as "struct {...}" here.
    """
    return Writer(in_full=False).declaration(type, name, 0)


def format_c(subject: Type | Btf) -> str:
    """A type as a C definition, or all types of a BTF as a header that compiles to the same layout.

    Of a type: "struct pair {", a line for each member, "};", without padding and packing, for people to read.
    Of a BTF: see `format_header`, which raises BtfError.
    """
    from aiobpf.btf.btf import Btf

    if isinstance(subject, Btf):
        from aiobpf.btf.c_header import format_header

        return format_header(subject)
    return Writer(in_full=True).definition(subject)


class Writer:
    """Declarations as C writes them, around the names that the methods below give."""

    __slots__ = ("_characters_left", "_in_full", "_pieces_left")

    def __init__(self, *, in_full: bool) -> None:
        self._in_full = in_full
        # A name is part of error messages, of which a hostile file may cause thousands.
        self._pieces_left = _MAX_PIECES if in_full else _MAX_PIECES_OF_A_NAME
        self._characters_left = _MAX_CHARACTERS

    # What a header, which must compile, does otherwise.

    def tag(self, type: Struct | Union | Enum | Forward) -> str:  # noqa: A002
        """How a struct, union or enum with a name is called: "struct pair"."""
        return _tagged(type)

    def identifier(self, type: Type) -> str:  # noqa: A002
        """How a type that C calls by one name is called: a typedef, a number, void."""
        return type.name or _CUT

    def qualifier(self, type: Const | Volatile | Restrict | TypeTag) -> str:  # noqa: A002
        return _qualifier(type)

    def parameter_name(self, parameter: Parameter) -> str:
        return parameter.name

    def too_deep(self) -> str:
        """What stands for a type that does not end."""
        return _CUT

    # ---

    def definition(self, type: Type) -> str:  # noqa: A002
        if isinstance(type, Struct | Union | Enum):
            return f"{self.body(type, 0)};"
        if isinstance(type, Forward):
            return f"{_tagged(type)};"
        if isinstance(type, Typedef):
            return f"typedef {self.declaration(type.type, type.name, 0)};"
        if isinstance(type, Function):
            prefix = {Linkage.STATIC: "static ", Linkage.EXTERN: "extern "}.get(type.linkage, "")
            return f"{prefix}{self.declaration(type, '', 0)};"
        if isinstance(type, Variable):
            prefix = {Linkage.STATIC: "static ", Linkage.EXTERN: "extern "}.get(type.linkage, "")
            return f"{prefix}{self.declaration(type.type, type.name, 0)};"
        if isinstance(type, DataSection):
            lines = [f"/* {type.name} */"]
            for each in type.variables:
                if not self.may_write(0):
                    lines.append(_CUT)
                    break
                lines.append(self.definition(each.variable))
            return "\n".join(lines)
        return f"{self.declaration(type, '', 0)};"

    def declaration(self, type: Type, name: str, nesting: int) -> str:  # noqa: A002
        """The declaration of *name*: from what it is called outwards to the type that stands first."""
        found = type
        text = name
        qualifiers: list[str] = []
        for _ in range(_MAX_CHAIN):
            if not self.may_grow(text):
                break
            if isinstance(found, Const | Volatile | Restrict | TypeTag):
                word = self.qualifier(found)
                if word not in qualifiers:  # a const array of const elements
                    qualifiers.append(word)
                found = found.type
            elif isinstance(found, Pointer):
                words = " ".join(qualifiers)
                qualifiers = []
                text = f"*{words}{' ' if words and text else ''}{text}"
                found = found.target
            elif isinstance(found, Array):
                text = f"{_in_parentheses(text)}[{found.count}]"
                found = found.element
            elif isinstance(found, FunctionPrototype):
                text = f"{_in_parentheses(text)}({self._parameters(found.parameters, nesting)})"
                found = found.return_type
            elif isinstance(found, Function):
                text = f"{found.name}({self._parameters(found.parameters, nesting)})"
                found = found.type.return_type
            else:
                base = self.base(found, nesting)
                return " ".join(part for part in (*qualifiers, base, text) if part)
        return f"{self.too_deep()} {text}"

    def _parameters(self, parameters: tuple[Parameter, ...], nesting: int) -> str:
        if not parameters:
            return "void"
        written: list[str] = []
        for each in parameters:
            if not self.may_write(nesting):
                return ", ".join([*written, self.too_deep()])
            is_variadic = not each.name and isinstance(each.type, Void)
            name = self.parameter_name(each)
            written.append("..." if is_variadic else self.declaration(each.type, name, nesting + 1))
        return ", ".join(written)

    def base(self, type: Type, nesting: int) -> str:  # noqa: A002
        if isinstance(type, Struct | Union | Enum):
            if type.name:
                return self.tag(type)
            return self.body(type, nesting) if self._in_full else f"{keyword(type)} {{...}}"
        if isinstance(type, Forward):
            return self.tag(type)
        if isinstance(type, Variable):
            return self.declaration(type.type, type.name, nesting + 1) if self.may_write(nesting) else _CUT
        if isinstance(type, DataSection):
            return f"/* {type.name} */"
        if isinstance(type, DeclTag):
            return f'__attribute__((btf_decl_tag("{type.name}")))'
        return self.identifier(type)

    def body(self, type: Struct | Union | Enum, nesting: int) -> str:  # noqa: A002
        indent = "\t" * (nesting + 1)
        lines: list[str] = []
        if isinstance(type, Enum):
            for enumerator in type.enumerators:
                if not self.may_write(nesting):
                    lines.append(f"{indent}{_CUT}")
                    break
                lines.append(f"{indent}{enumerator.name} = {enumerator.value},")
                self._characters_left -= len(lines[-1])
        else:
            for member in type.members:
                if not self.may_write(nesting):
                    lines.append(f"{indent}{_CUT}")
                    break
                bits = f" : {member.bitfield_size}" if member.bitfield_size else ""
                lines.append(f"{indent}{self.declaration(member.type, member.name, nesting + 1)}{bits};")
        closing = "\t" * nesting + "}"
        return "\n".join([f"{_tagged(type)} {{", *lines, closing])

    def may_write(self, nesting: int) -> bool:
        """Whether there is room for one more member or parameter, that deep inside of others."""
        self._pieces_left -= 1
        return nesting < _MAX_NESTING and self._pieces_left > 0 and self._characters_left > 0

    def may_grow(self, text: str) -> bool:
        """Whether a declaration that is *text* so far may go on: each step through its types writes it anew."""
        self._pieces_left -= 1
        self._characters_left -= len(text)
        return self._pieces_left > 0 and self._characters_left > 0


def _qualifier(type: Const | Volatile | Restrict | TypeTag) -> str:  # noqa: A002
    if isinstance(type, TypeTag):
        inner = type.name if type.is_attribute else f'btf_type_tag("{type.name}")'
        return f"__attribute__(({inner}))"
    return type.kind.name.lower()


def keyword(type: Struct | Union | Enum | Forward) -> str:  # noqa: A002
    if isinstance(type, Forward):
        return "union" if type.is_union else "struct"
    return type.kind.name.lower()


def _tagged(type: Struct | Union | Enum | Forward) -> str:  # noqa: A002
    return f"{keyword(type)} {type.name}" if type.name else keyword(type)


def _in_parentheses(text: str) -> str:
    """What a pointer points to binds less than what follows it: "(*name)[4]"."""
    return f"({text})" if text.startswith("*") else text
