"""Global variables of a loaded collection, read and written in place."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, final

from aiobpf.btf import codec
from aiobpf.errors import ClosedError, CodecError, NotSupportedError, SpecError
from aiobpf.runtime.atomic_place import atomic_integer
from aiobpf.uapi import MapFlags

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    from aiobpf._native._lib import View
    from aiobpf.btf import Codec, Type
    from aiobpf.kernel import AtomicInteger
    from aiobpf.runtime.map import Map
    from aiobpf.spec import VariableSpec

    T = DefaultTypeVar("T", default=Any)
else:
    T = TypeVar("T")

A = TypeVar("A")


@final
class Section:
    """The memory of a data section's map, or of an arena, shared by its variables: mapped on first use, once.

    Mapping needs a map with BPF_F_MMAPABLE (5.5), which the loader gives to data sections. Threads may share it: who
    reads or writes while another closes it still has the memory, as it is unmapped with the last reference.
    """

    __slots__ = ("_is_closed", "_lock", "_map", "_memory", "is_read_only", "name", "size", "start")

    def __init__(self, map_: Map, *, is_read_only: bool, name: str = "") -> None:
        self._map = map_
        self.name = name or map_.name
        self.start = map_.data_offset
        """Bytes in the memory before the section."""
        self.size = map_.data_size
        """Bytes, without what the mapping is rounded up by."""
        self.is_read_only = is_read_only
        self._memory: View | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def is_of(self, map_: Map) -> bool:
        """Whether it lies in *map_*."""
        return self._map is map_

    def move_to(self, map_: Map) -> None:
        """The same section as *map_*, another object for its map, has it."""
        self._map = map_

    @property
    def memory(self) -> View:
        """The mapped section, slices of which are copies; ClosedError after the collection is closed,
        NotSupportedError on a kernel that cannot map arrays."""
        memory = self._memory
        if memory is None:
            if self._is_closed:
                raise ClosedError(f"the collection of section {self.name!r} is closed")
            if not self._map.flags & MapFlags.MMAPABLE:
                raise NotSupportedError(
                    f"live variables (section {self.name!r})", "5.5", f"maps[{self.name!r}] has their bytes"
                )
            memory = self._map.shared_memory(writable=not self.is_read_only)
            with self._lock:
                if not self._is_closed:
                    self._memory = memory
        return memory

    def close(self) -> None:
        """Let go of the memory; it goes when nobody is reading it any more."""
        with self._lock:
            self._is_closed = True
            self._memory = None


@final
class Variable(Generic[T]):
    """One global variable, live: `value` is what the program sees, with no system call.

    A write of up to 8 aligned bytes is one store; a larger one is not atomic to a program that runs meanwhile.

    ``Variable[T]`` tells a type checker what the value is; `Collection.bind` makes it true.
    """

    __slots__ = ("_element", "_place", "_section", "name", "offset", "size", "type")

    def __init__(self, spec: VariableSpec, section: Section) -> None:
        if not 0 <= spec.offset <= spec.offset + spec.size <= section.size:
            raise SpecError(
                f"variable {spec.name!r} is {spec.size} bytes at {spec.offset} of {section.name}, which has "
                f"{section.size}"
            )
        self.name = spec.name
        self.offset = spec.offset
        self.size = spec.size
        self.type: Type | None = spec.type
        self._element: Codec | None = None
        self._section = section
        self._place = slice(section.start + spec.offset, section.start + spec.offset + spec.size)

    @property
    def _codec(self) -> Codec | None:
        """Made on first use: a load has hundreds of variables, and looks at few. None for one that is bytes."""
        if self._element is None and self.type is not None:
            try:
                self._element = codec(self.type)
            except CodecError:  # a type without a value (a forward declaration): its bytes are still there
                self.type = None
        return self._element

    def exchange(self, other: Variable[Any]) -> None:
        """Become *other*, and it this."""
        for slot in Variable.__slots__:
            mine = getattr(self, slot)
            setattr(self, slot, getattr(other, slot))
            setattr(other, slot, mine)

    def typed(self, python_type: type[A]) -> Variable[A]:
        """The same variable, its value of a class of the user's, by the rules of `aiobpf.btf.codec`; CodecError."""
        found = cast("Variable[A]", copy.copy(self))
        if self.type is None:
            if python_type is not bytes:
                raise CodecError(f"variable {self.name!r} has no BTF type: its value is bytes")
            return found
        try:
            found._element = codec(self.type, python_type=python_type)
        except CodecError as error:
            raise CodecError(f"variable {self.name!r}: {error}") from error
        return found

    def is_in(self, map_: Map) -> bool:
        """Whether *map_* is the one that has it."""
        return self._section.is_of(map_)

    @property
    def section(self) -> str:
        """The data section it lies in (".bss"; ".addr_space.1" for one in an arena)."""
        return self._section.name

    @property
    def is_read_only(self) -> bool:
        """True for .rodata: its value was fixed when it was loaded."""
        return self._section.is_read_only

    @property
    def value(self) -> T:
        # One copy of all of it: a large value is as whole as it can be, and nothing refers to the memory afterwards.
        raw = self._section.memory[self._place]
        element = self._codec
        return cast("T", raw) if element is None else element.decode(raw)

    @value.setter
    def value(self, value: T) -> None:
        if self.is_read_only:
            raise CodecError(
                f"variable {self.name!r} lies in {self.section}, which is read-only once it is loaded: set it in the "
                f"spec (spec.variables[{self.name!r}].value = ...)"
            )
        element = self._codec
        try:
            raw = _as_bytes(value) if element is None else element.encode(value)
        except CodecError as error:
            raise CodecError(f"variable {self.name!r}: {error}") from error
        if len(raw) != self.size:
            raise CodecError(f"variable {self.name!r} has {self.size} bytes, not {len(raw)}")
        self._section.memory[self._place] = raw

    def atomic(self, *path: str | int) -> AtomicInteger:
        """The variable, or the integer at *path* of it (members by name, elements by index), changed as atomically as
        programs do: ``coll.variables["seen"].atomic().add(1)``. CodecError where that is no aligned integer."""
        if self.is_read_only:
            raise CodecError(f"variable {self.name!r} lies in {self.section}, which is read-only once it is loaded")
        memory, start = self._section.memory, self._place.start
        return atomic_integer(memory, start, self.type, path, f"variable {self.name!r}", self.size)

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} in {self.section}>"


def _as_bytes(value: object) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise CodecError(f"it has no BTF type and takes bytes, not {type(value).__name__}")
