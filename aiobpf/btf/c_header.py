"""All types of a BTF as a C header: vmlinux.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, final

from aiobpf.btf.c_layout import Layout, Layouts
from aiobpf.btf.c_names import Names, identifier
from aiobpf.btf.c_numbers import definition_in_c, number_in_c, plain_integer
from aiobpf.btf.c_order import Order
from aiobpf.btf.composites import Function, Struct, Union
from aiobpf.btf.derived import Typedef, TypeTag
from aiobpf.btf.formatting import Writer, keyword
from aiobpf.btf.kinds import Kind
from aiobpf.btf.scalars import Enum, Float, Forward, Int, Unknown, Void
from aiobpf.btf.shape import strip_qualifiers
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiobpf.btf.btf import Btf
    from aiobpf.btf.derived import Const, Restrict, Volatile
    from aiobpf.btf.parts import Member, Parameter
    from aiobpf.btf.type_base import Type

_KINDS: Final = (Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FWD, Kind.TYPEDEF)
_MODES: Final = {1: "QI", 2: "HI", 4: "SI", 8: "DI"}
"""gcc's names of integers by their size, which clang knows too."""
_C23: Final = frozenset({"bool", "true", "false", "nullptr", "constexpr", "alignas", "alignof", "static_assert"})

# bpf_tracing.h takes __VMLINUX_H__ for a sign that registers have the kernel's names. The other two are bpftool's, so
# that what a program says of its header holds for this one.
_BEFORE: Final = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif
"""
_AFTER: Final = """\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif
"""
_NOT_C23: Final = "#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L"


class Header(NamedTuple):
    """The text, and what each struct, union, enum and typedef with a name is called in it: "struct pair"."""

    text: str
    names: dict[Type, str]


def format_header(btf: Btf, types: Iterable[Type] | None = None) -> str:
    """The types of *btf* as a C header, which clang compiles (for BPF, 64 bits) to the same sizes and offsets.

    Only *types*, with all that they need, where they are given; else all that a split BTF adds to its base, with what
    that needs of the base, or all of a BTF without base. Structs are relocatable by CO-RE unless
    BPF_NO_PRESERVE_ACCESS_INDEX is defined; kernel functions that programs may call are declared unless
    BPF_NO_KFUNC_PROTOTYPES is. Declaration tags, variables and other functions are left out.

    A second type of one name is "name___2". Gaps are unnamed bit-fields; an enum without a name that is used a second
    time is an integer there. A struct whose members overlap, which C cannot say, is an array of bytes.

    Raises BtfError for types that contain themselves, or whose text grows out of all proportion to the BTF.
    """
    return write_header(btf, types).text


def write_header(btf: Btf, types: Iterable[Type] | None = None) -> Header:
    """As `format_header`, with the names."""
    return _HeaderWriter(btf).write(types)


@final
class _HeaderWriter(Writer):
    __slots__ = (
        "_btf",
        "_chunks",
        "_forwards",
        "_layouts",
        "_named",
        "_order",
        "_ordinary",
        "_room",
        "_tags",
        "_written_enums",
    )  # fmt: skip

    def __init__(self, btf: Btf) -> None:
        super().__init__(in_full=True)
        self._btf = btf
        self._chunks: list[str] = [_BEFORE]
        self._layouts = Layouts()
        self._tags = Names()
        self._ordinary = Names()
        self._named: dict[Type, str] = {}
        self._forwards: dict[tuple[str, bool], Struct | Union | None] = {}
        self._written_enums: set[Enum] = set()
        size, base = 0, btf
        while True:
            size += len(base.raw)
            if base.base is None:
                break
            base = base.base
        self._room = 16 * size + (1 << 20)
        self._order = Order(self._declare, self._define, self._use)

    def write(self, types: Iterable[Type] | None) -> Header:
        kfuncs = [] if types is not None else self._kfuncs()
        names = {function: self._ordinary.of(function) for function in kfuncs}
        enums: list[Enum] = []
        for each in self._all() if types is None else types:
            if isinstance(each, Enum) and not each.name:
                enums.append(each)
            elif not isinstance(each, Struct | Union | Int | Forward) or each.name:
                if isinstance(each, Struct | Union | Enum | Typedef | Forward | Float | Int):
                    if not isinstance(each, Int | Float) or not number_in_c(each):
                        self._order.need(each)
                else:
                    self._order.need_for(each)
        for enum in enums:
            if enum not in self._written_enums and enum.enumerators:
                self._emit(f"{self.body(enum, 0)};\n", *(each.name for each in enum.enumerators))
        if kfuncs:
            self._write_kfuncs(kfuncs, names)
        self._chunks.append(_AFTER)
        return Header("\n".join(self._chunks), self._named)

    def _all(self) -> Iterable[Type]:
        ids = sorted(number for kind in _KINDS for number in self._btf.ids_of_kind(kind))
        return map(self._btf.type_by_id, ids)

    # --- definitions --------------------------------------------------------------------------------------------------

    def _declare(self, type: Type) -> None:  # noqa: A002
        assert isinstance(type, Struct | Union | Forward)
        if isinstance(type, Forward) and (definition := self._definition_of(type)) is not None:
            if self._order.is_declared(definition):
                return
            self._order.mark_declared(definition)
            type = definition  # noqa: A001
        self._emit(f"{self.tag(type)};\n")

    def _define(self, type: Type) -> None:  # noqa: A002
        if isinstance(type, Struct | Union):
            self._emit(f"{self.body(type, 0)};\n")
        elif isinstance(type, Enum):
            if type.enumerators:  # one that is only declared has no size in C: see `tag`
                self._emit(f"{self.body(type, 0)};\n", *(each.name for each in type.enumerators))
        elif isinstance(type, Typedef):
            name = self._named[type] = self._ordinary.of(type)
            target = type.type
            if isinstance(target, Void) and name == "__gnuc_va_list":
                text = "__builtin_va_list __gnuc_va_list"  # gcc before 9 wrote void
            else:
                text = self.declaration(target, name, 0)
            self._emit(f"typedef {text};\n", type.name)
        elif isinstance(type, Int | Float):
            front, behind = definition_in_c(type)
            self._emit(f"typedef {front} {self._ordinary.of(type)}{behind};\n", type.name)

    def _emit(self, text: str, *names: str) -> None:
        self._use(len(text))
        self._chunks.append(text if _C23.isdisjoint(names) else f"{_NOT_C23}\n{text}#endif\n")

    def _use(self, room: int) -> None:
        self._room -= room
        if self._room < 0:
            raise BtfError("the C text of these types grows beyond 16 times their size: they repeat each other")

    def _kfuncs(self) -> list[Function]:
        """The functions that programs may call, as pahole tags them since 1.26."""
        found: dict[Function, None] = {}
        for number in self._btf.ids_of_kind(Kind.DECL_TAG):
            tag = self._btf.type_by_id(number)
            target = tag.type if tag.name == "bpf_kfunc" else None  # type: ignore[attr-defined]
            if isinstance(target, Function):
                found[target] = None
        return list(found)

    def _write_kfuncs(self, kfuncs: list[Function], names: dict[Function, str]) -> None:
        for function in kfuncs:
            self._order.need_for(function)
        self._emit("#ifndef BPF_NO_KFUNC_PROTOTYPES")
        for function in kfuncs:
            text = self.declaration(function.type, names[function], 0)
            self._emit(f'extern {text} __attribute__((weak, section(".ksyms")));')
        self._emit("#endif\n")

    # --- what a declaration is made of --------------------------------------------------------------------------------

    def tag(self, type: Struct | Union | Enum | Forward) -> str:  # noqa: A002
        if isinstance(type, Enum) and not type.enumerators:
            return plain_integer(type.size, is_signed=type.is_signed)  # C has no size for an enum that it only hears of
        found = self._named.get(type)
        if found is None:
            definition = self._definition_of(type) if isinstance(type, Forward) else None
            name = self._tags.of(type) if definition is None else self._tags.share(type, definition)
            found = self._named[type] = f"{keyword(type)} {name}"
        return found

    def _definition_of(self, type: Forward) -> Struct | Union | None:  # noqa: A002
        """The one type that a forward declaration may mean; None where there is none, or several that differ."""
        key = (type.name, type.is_union)
        if key not in self._forwards:
            found: Sequence[Struct | Union]
            found = self._btf.all_by_name(type.name, Union if type.is_union else Struct)
            self._forwards[key] = found[0] if len(found) == 1 else None
        return self._forwards[key]

    def identifier(self, type: Type) -> str:  # noqa: A002
        if isinstance(type, Typedef):
            return self._ordinary.of(type)
        if isinstance(type, Int | Float):
            return number_in_c(type) or self._ordinary.of(type)
        if isinstance(type, Void | Unknown):
            return "void"
        raise BtfError(f"a C declaration cannot be of the {type.kind.name} {type.name!r}")

    def qualifier(self, type: Const | Volatile | Restrict | TypeTag) -> str:  # noqa: A002
        if isinstance(type, TypeTag):
            if type.is_attribute:
                return f"__attribute__(({''.join(filter(_is_of_attribute, type.name))}))"
            return f'__attribute__((btf_type_tag("{identifier(type.name)}")))'
        return super().qualifier(type)

    def parameter_name(self, parameter: Parameter) -> str:
        """A parameter that is called like a typedef would hide it from those that follow."""
        name = identifier(parameter.name)
        return f"{name}_" if name in self._ordinary else name

    def too_deep(self) -> NoReturn:
        raise BtfError("a type leads through more than 64 others, or parameters are nested in more than 16")

    def may_write(self, nesting: int) -> bool:
        self._use(8)
        return nesting < 64

    def may_grow(self, text: str) -> bool:
        self._use(len(text))
        return True

    def body(self, type: Struct | Union | Enum, nesting: int) -> str:  # noqa: A002
        if isinstance(type, Enum):
            return self._enum_body(type, nesting)
        return self._composite_body(type, self.tag(type) if type.name else keyword(type), nesting)

    def _composite_body(self, type: Struct | Union, title: str, nesting: int) -> str:  # noqa: A002
        if not self.may_write(nesting):
            self.too_deep()
        layout = self._layouts.of(type, nesting)
        indent = "\t" * (nesting + 1)
        lines = [f"{title} {{"]
        end = 0
        for member, bits, alignment in layout.lines:
            if member is None:
                lines.append(f"{indent}{_gap(bits, end)}")
                end += 1
            else:
                lines.append(f"{indent}{self._member(member, bits, alignment, nesting)}")
        if layout.is_opaque and type.size:
            lines.append(f"{indent}unsigned char __opaque[{type.size}];")
        lines.append(f"{indent[1:]}}}{_attributes(layout)}")
        text = "\n".join(lines)
        self._use(len(text))
        return text

    def _member(self, member: Member, bits: int, alignment: int, nesting: int) -> str:
        inner = strip_qualifiers(member.type) if not member.name else None
        if isinstance(inner, Struct | Union) and inner.name:
            # Since 6.19 the kernel is compiled with -fms-extensions, which make "struct tree;" a member like
            # "struct { ... };". What includes this header need not be.
            text = self._composite_body(inner, keyword(inner), nesting + 1)
        else:
            text = self.declaration(member.type, identifier(member.name), nesting + 1)
        if bits:
            return f"{text} : {bits};"
        return f"{text} __attribute__((aligned({alignment})));" if alignment else f"{text};"

    def _enum_body(self, type: Enum, nesting: int) -> str:  # noqa: A002
        if not type.name and (type in self._written_enums or not type.enumerators):
            return plain_integer(type.size, is_signed=type.is_signed)
        self._written_enums.add(type)
        indent = "\t" * (nesting + 1)
        lines = [f"{self.tag(type) if type.name else 'enum'} {{"]
        new = self._ordinary.new
        lines += [f"{indent}{new(each.name)} = {_number(each.value)}," for each in type.enumerators]
        lines.append(f"{indent[1:]}}}{_enum_size(type)}")
        text = "\n".join(lines)
        self._use(len(text))
        return text


def _gap(bits: int, number: int) -> str:
    if bits <= 64:
        return f"long : {bits};"
    return f"unsigned char __padding_{number}[{bits // 8}];"


def _attributes(layout: Layout) -> str:
    words = ["packed"] if layout.is_packed else []
    if layout.alignment:
        words.append(f"aligned({layout.alignment})")
    return f" __attribute__(({', '.join(words)}))" if words else ""


def _number(value: int) -> str:
    if -(1 << 31) < value < 1 << 32:
        return str(value)
    if value >= 0:
        return f"{value}ULL"
    return f"{value}LL" if value > -(1 << 63) else f"({value + 1}LL - 1)"


def _enum_size(type: Enum) -> str:  # noqa: A002
    """The attribute that gives an enum its size, where its values would not."""
    values = [each.value for each in type.enumerators]
    low, high = min(values, default=0), max(values, default=0)
    natural = 4 if (low >= 0 and high < 1 << 32) or (low >= -(1 << 31) and high < 1 << 31) else 8
    return "" if natural == type.size else f" __attribute__((mode({_MODES[type.size]})))"


def _is_of_attribute(character: str) -> bool:
    return character.isalnum() or character in "_(), "
