"""The types of a kernel, a module or an object, by id and by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from mmap import mmap
from os import PathLike, fspath, fstat
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, final, overload

from aiobpf._native import ffi, lib
from aiobpf.btf.compressed import decompressed
from aiobpf.btf.decode import Decoder
from aiobpf.btf.elf_section import ELF_MAGIC, find_section
from aiobpf.btf.header import ByteOrder, read_header
from aiobpf.btf.index import NAME_LIMIT, Index, Strings
from aiobpf.btf.kinds import Kind
from aiobpf.btf.scalars import Enum, Forward, Void
from aiobpf.btf.type_base import Type
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.btf.core_target import Target
    from aiobpf.btf.parts import Member

T = TypeVar("T", bound=Type)
_TAGS = frozenset({Kind.DECL_TAG, Kind.TYPE_TAG})


@final
class Btf:
    """All types of one BTF, made when they are asked for: opening one reads the type section once and makes none.

    A split BTF adds its types to those of *base*: ids and strings go on where the base's end. The types keep the Btf
    they belong to, and it keeps the file or bytes.

    Source: Documentation/bpf/btf.rst and include/uapi/linux/btf.h of Linux 7.1.
    """

    __slots__ = (
        "__weakref__", "_base", "_core_target", "_data", "_decoder", "_first_id", "_header", "_index", "_strings",
        "_tags", "_types",
    )  # fmt: skip

    def __init__(self, data: bytes | mmap, base: Btf | None = None) -> None:
        """Use `from_bytes` or `from_file`."""
        header = read_header(data, is_split=base is not None)
        if base is not None and base.byte_order != header.byte_order:
            raise BtfError(f"a split BTF in {header.byte_order}-endian order cannot add to one in {base.byte_order}")
        self._base = base
        self._data = data
        self._header = header
        self._first_id = 1 if base is None else len(base.types)
        first_string = 0 if base is None else base._strings[0].end
        bases: tuple[Strings, ...] = () if base is None else base._strings
        self._strings: tuple[Strings, ...] = (Strings(data, header, first_string), *bases)
        self._index = Index(data, header, self._strings)
        self._decoder = Decoder(data, header)
        self._types: dict[int, Type] = {}
        self._tags: dict[int, dict[int, list[int]]] | None = None
        self._core_target: Target | None = None  # what CO-RE found out about it

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, base: Btf | None = None) -> Self:
        """The BTF in *data*, a .BTF section or /sys/kernel/btf file as it is. Raises BtfError."""
        return cls(bytes(data), base)

    @classmethod
    def from_file(cls, path: str | PathLike[str], base: Btf | None = None) -> Self:
        """The BTF in a file: raw BTF, or an ELF file with a .BTF section; either may be compressed (xz, gzip).

        The kernel's own is mapped, not read. A module that was built apart from its kernel (since 6.11) has a distilled
        base, .BTF.base: it is relocated to *base*, and adds to the distilled one where no *base* is given.
        Raises BtfError, which names the file, and OSError.
        """
        data = _contents(path)
        try:
            if isinstance(data, bytes):
                data = decompressed(data)
            if data[:4] != ELF_MAGIC:
                return cls(data, base)
            section = find_section(data, ".BTF")
            if section is None:
                raise BtfError("the ELF file has no .BTF section")
            distilled = find_section(data, ".BTF.base")
            if distilled is None:
                return cls(section, base)
            split = cls(section, cls(distilled))
            if base is None:
                return split
            from aiobpf.btf.distilled import relocate_base

            return cls(relocate_base(split, base).raw, base)
        except BtfError as error:
            raise BtfError(f"{fspath(path)}: {error}") from None

    @property
    def base(self) -> Btf | None:
        """What a split BTF adds to."""
        return self._base

    @property
    def byte_order(self) -> ByteOrder:
        return self._header.byte_order

    @property
    def raw(self) -> bytes:
        """The bytes it was made of (a copy where it is a mapped file); without its base's."""
        return self._data if isinstance(self._data, bytes) else self._data[:]

    @property
    def types(self) -> Sequence[Type]:
        """Every type at its id, the base's included; type 0 is void."""
        return _Types(self)

    @property
    def first_id(self) -> int:
        """The id of the first type that it adds itself: 1, or the number of the base's types."""
        return self._first_id

    def type_by_id(self, id: int, /) -> Type:  # noqa: A002
        """The type with that id, always the same object. Raises BtfError where there is none."""
        found = self._types.get(id)
        if found is not None:
            return found
        if id == 0:
            return Void()
        if id < self._first_id and self._base is not None:
            return self._base.type_by_id(id)
        made = self._decoder.type_at(self, id, self._offset(id))
        # Two threads may both have made it; the first one stored stays the one.
        return self._types.setdefault(id, made)

    def id_of(self, type: Type) -> int:  # noqa: A002
        """The id of one of its types or its base's. Raises BtfError for a type of elsewhere."""
        if isinstance(type, Void):
            return 0
        owner: Btf | None = self
        while owner is not None:
            if type._owner is owner:
                return type._id
            owner = owner._base
        raise BtfError(f"{type!r} is no type of this BTF")

    @overload
    def by_name(self, name: str, kind: None = None) -> Type: ...
    @overload
    def by_name(self, name: str, kind: type[T]) -> T: ...
    @overload
    def by_name(self, name: str, kind: Kind) -> Type: ...
    def by_name(self, name: str, kind: type[Type] | Kind | None = None) -> Type:
        """The one type of that name, of that kind (``Struct``, ``Kind.STRUCT``) if given.

        A split BTF's own types come before its base's, and without a kind a definition before forward declarations.
        Raises BtfError where there is no such type, or several.
        """
        btf: Btf | None = self
        while btf is not None:
            found = btf._own_by_name(name, kind)
            if kind is None and len(found) > 1:
                found = [each for each in found if not isinstance(each, Forward)] or found
            if len(found) > 1:
                names = ", ".join(f"[{self.id_of(each)}] {each.kind.name}" for each in found[:8])
                raise BtfError(f"{len(found)} types are called {name!r}: {names}; say which kind, or use all_by_name")
            if found:
                return found[0]
            btf = btf._base
        raise BtfError(f"no {_kind_name(kind)} is called {name!r}")

    @overload
    def all_by_name(self, name: str, kind: type[T]) -> list[T]: ...
    @overload
    def all_by_name(self, name: str, kind: Kind | None = None) -> list[Type]: ...
    def all_by_name(self, name: str, kind: type[Any] | Kind | None = None) -> list[Any]:
        """Every type of that name, the base's first, each in order of id. Tags are found only by their kind."""
        bases = [] if self._base is None else self._base.all_by_name(name, kind)
        return bases + self._own_by_name(name, kind)

    def candidates(self, essential_name: str, kind: type[Type] | Kind | None = None) -> list[Type]:
        """Every type with that name, flavours aside: "task_struct___old" is found under "task_struct".

        Only the types that a split BTF adds: CO-RE asks a kernel's modules one by one, after the kernel.
        """
        found = self._index.find(essential_name, kind=_kind(kind), by_essential_name=True)
        return self._chosen(found, kind)

    def names(self, kind: type[Type] | Kind, prefix: str = "") -> list[str]:
        """The names of all types of one kind, or of those that begin with *prefix*; its own first, then its base's.

        No type is made for it.
        """
        types, offset = self._header.types, self._index.offset
        wanted = prefix.encode(errors="surrogateescape")
        kinds = (Kind.ENUM, Kind.ENUM64) if kind is Enum else (kind if isinstance(kind, Kind) else kind.kind,)
        own = [
            self.name_at(self._decoder.name_offset(types + offset(index)))
            for each in kinds
            for index in self._index.of_prefix(wanted, each)
        ]
        return own if self._base is None else own + self._base.names(kind, prefix)

    def string_at(self, offset: int) -> str:
        """The string at *offset* of the string table, its base's included. Bytes that are no UTF-8 read as ``\\xNN``.

        Raises BtfError where there is none.
        """
        return self._string(offset, None)

    def text_at(self, offset: int, /) -> str:
        """As `string_at`, cut after 1024 bytes: a line of source may be longer, and is cut rather than refused."""
        return self._string(offset, NAME_LIMIT, is_cut=True)

    @property
    def raw_strings(self) -> bytes:
        """The bytes of its string table, without its base's."""
        own = self._strings[0]
        return bytes(own.data[own.start : own.start + own.end - own.first])

    @property
    def strings_end(self) -> int:
        """The size of the string table in bytes, its base's included: every string begins before it."""
        return self._strings[0].end

    @property
    def own_strings(self) -> bytes:
        """The bytes of the strings that it adds itself, without its base's."""
        start = self._header.strings
        return self._data[start : start + self._header.strings_length]

    def name_at(self, offset: int, /) -> str:
        """As `string_at`, for the name of a type or member: BtfError where it has more than 1024 bytes."""
        return self._string(offset, NAME_LIMIT) if offset else ""

    def members_of(self, id: int, /) -> tuple[Member, ...]:  # noqa: A002
        """What `Struct.members` asks: new members at each call."""
        return self._decoder.members_at(self, id, self._offset(id))

    def raw_types(self) -> Iterator[bytes]:
        """The bytes of each type that it adds itself, in order of id, in its own byte order."""
        start, index = self._header.types, self._index
        offsets = [index.offset(i) for i in range(index.count)]
        for begin, end in pairwise([*offsets, self._header.types_length]):
            yield self._data[start + begin : start + end]

    def raw_type(self, id: int) -> bytes:  # noqa: A002
        """The bytes of one type, in its own byte order. Raises BtfError where there is none."""
        if id < self._first_id and self._base is not None:
            return self._base.raw_type(id)
        start = self._offset(id)
        index = id - self._first_id + 1
        end = self._index.offset(index) if index < self._index.count else self._header.types_length
        return self._data[start : self._header.types + end]

    def ids_of_kind(self, kind: Kind) -> list[int]:
        """The ids of all types of one kind that it adds itself, in order; none of them is made.

        Kind.UNKNOWN are all whose kind is not known here.
        """
        if kind is Kind.UNKNOWN:
            known = frozenset(Kind)
            places = ((i, self._header.types + self._index.offset(i)) for i in range(self._index.count))
            return [self._first_id + i for i, place in places if self._decoder.raw_kind(place) not in known]
        return [self._first_id + index for index in self._index.of_kind(kind)]

    def tags_of(self, id: int, component: int = -1, /) -> tuple[str, ...]:  # noqa: A002
        """What the declaration tags say on that type, or on its member or parameter number *component*."""
        return tuple(map(self.name_at, self._tags_on(id).get(component, ())))

    def has_tagged_parts(self, id: int, /) -> bool:  # noqa: A002
        """Whether any member or parameter of that type has a declaration tag."""
        return any(component >= 0 for component in self._tags_on(id))

    def _tags_on(self, id: int) -> dict[int, list[int]]:  # noqa: A002
        if self._tags is None:
            self._tags = self._decl_tags()
        return self._tags.get(id, {})

    def __copy__(self) -> Btf:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("types are not pickled, nor what refers to them: pass the bytes of the file on, and read these")

    def __deepcopy__(self, memo: object) -> Btf:
        return self  # nothing of it changes: a spec that is copied deeply keeps its types

    def __repr__(self) -> str:
        return f"<Btf of {len(self.types)} types, {self.byte_order}-endian{', split' if self._base else ''}>"

    def _offset(self, id: int) -> int:  # noqa: A002
        index = id - self._first_id
        if not 0 <= index < self._index.count:
            raise BtfError(f"there is no type [{id}]: the last is [{len(self.types) - 1}]")
        return self._header.types + self._index.offset(index)

    def _own_by_name(self, name: str, kind: type[Type] | Kind | None) -> list[Type]:
        return self._chosen(self._index.find(name, kind=_kind(kind)), kind)

    def _chosen(self, indices: list[int], kind: type[Type] | Kind | None) -> list[Type]:
        """Those types that are of *kind*; the others are not made."""
        wanted: set[int] | None = None
        if kind is Enum or kind in {Kind.ENUM, Kind.ENUM64}:
            wanted = {Kind.ENUM, Kind.ENUM64}
        elif kind is not None:
            wanted = {kind if isinstance(kind, Kind) else kind.kind}
        chosen = []
        for index in indices:
            found = self._decoder.raw_kind(self._header.types + self._index.offset(index))
            if (found not in _TAGS) if wanted is None else (found in wanted):
                chosen.append(self.type_by_id(self._first_id + index))
        return chosen

    def _string(self, offset: int, limit: int | None, *, is_cut: bool = False) -> str:
        for strings in self._strings:
            if strings.first <= offset < strings.end:
                start = strings.start + offset - strings.first
                last = strings.start + strings.end - strings.first
                end = strings.data.find(b"\0", start, last if limit is None else min(last, start + limit + 1))
                if end < 0 and is_cut and limit is not None:
                    end = start + limit
                elif end < 0:
                    raise BtfError(f"the name at {offset} of the strings has more than {limit} bytes")
                return strings.data[start:end].decode(errors="backslashreplace")
        raise BtfError(f"string {offset} is past the end of the strings at {self._strings[0].end}")

    def _decl_tags(self) -> dict[int, dict[int, list[int]]]:
        tags: dict[int, dict[int, list[int]]] = {}
        for index in self._index.of_kind(Kind.DECL_TAG):
            tag = self._decoder.decl_tag_at(self._header.types + self._index.offset(index))
            if tag is not None:
                target, component, name = tag
                tags.setdefault(target, {}).setdefault(component, []).append(name)
        return tags


class _Types(Sequence[Type]):
    """Types by id, made when asked for."""

    __slots__ = ("_btf",)

    def __init__(self, btf: Btf) -> None:
        self._btf = btf

    def __len__(self) -> int:
        return self._btf._first_id + self._btf._index.count

    @overload
    def __getitem__(self, index: int) -> Type: ...
    @overload
    def __getitem__(self, index: slice) -> list[Type]: ...
    def __getitem__(self, index: int | slice) -> Type | list[Type]:
        if isinstance(index, slice):
            return [self._btf.type_by_id(i) for i in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"there is no type [{index}]")
        return self._btf.type_by_id(at)

    def __iter__(self) -> Iterator[Type]:
        return map(self._btf.type_by_id, range(len(self)))


def _contents(path: str | PathLike[str]) -> bytes | mmap:
    """The file, mapped where that is safe or needed: one that shrinks while it is mapped ends the process (SIGBUS)."""
    with open(fspath(path), "rb") as file:
        if file.read(4) == ELF_MAGIC or fspath(path).startswith("/sys/"):
            size = fstat(file.fileno()).st_size
            if size:
                # An anonymous mapping with the file put over it, since mmap of a file keeps a descriptor of its own for
                # as long as the types live. Private: the kernel's BTF (mappable since 6.16) refuses to be shared.
                memory = mmap(-1, size)
                if not lib.memory_overlay(ffi.from_buffer(memory), size, file.fileno()):
                    return memory
                memory.close()  # an older kernel
        file.seek(0)
        return file.read()


def _kind(kind: type[Type] | Kind | None) -> Kind | None:
    return kind if kind is None or isinstance(kind, Kind) else kind.kind


def _kind_name(kind: type[Type] | Kind | None) -> str:
    if kind is None:
        return "type"
    return kind.name if isinstance(kind, Kind) else kind.__name__
