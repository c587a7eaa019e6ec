"""Global variables of a loaded collection, read and written in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from aiobpf.btf import codec
from aiobpf.errors import ClosedError, CodecError, NotSupportedError

if TYPE_CHECKING:
    import mmap as _mmap

    from aiobpf.btf import Type
    from aiobpf.runtime.map import Map
    from aiobpf.spec import VariableSpec


@final
class Section:
    """The memory of a data section's map, shared by its variables: mapped on first use, once.

    Mapping needs a map made with BPF_F_MMAPABLE (5.5); the loader makes data sections so where the kernel can.
    """

    __slots__ = ("_map", "_memory", "is_read_only")

    def __init__(self, map_: Map, *, is_read_only: bool) -> None:
        self._map = map_
        self.is_read_only = is_read_only
        self._memory: _mmap.mmap | None = None

    @property
    def name(self) -> str:
        return self._map.name

    @property
    def memory(self) -> _mmap.mmap:
        """The mapped section; ClosedError after the collection is closed."""
        memory = self._memory
        if memory is None:
            if self._map.is_closed:
                raise ClosedError(f"the collection of section {self.name!r} is closed")
            try:
                memory = self._memory = self._map.mmap(writable=not self.is_read_only)
            except OSError as error:
                raise NotSupportedError("reading variables in place", "5.5") from error
        return memory

    def close(self) -> None:
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()


@final
class Variable:
    """One global variable, live: `value` is what the program sees, with no system call.

    A write of up to 8 aligned bytes is one store; a larger one is not atomic to a program that runs meanwhile.
    """

    __slots__ = ("_codec", "_section", "name", "offset", "size", "type")

    def __init__(self, spec: VariableSpec, section: Section) -> None:
        self.name = spec.name
        self.offset = spec.offset
        self.size = spec.size
        self.type: Type | None = spec.type
        self._codec = None if spec.type is None else codec(spec.type)
        self._section = section

    @property
    def section(self) -> str:
        """The data section it lies in (".bss")."""
        return self._section.name

    @property
    def is_read_only(self) -> bool:
        """True for .rodata: its value was fixed when it was loaded."""
        return self._section.is_read_only

    @property
    def value(self) -> Any:
        memory = self._section.memory
        if self._codec is None:
            return memory[self.offset : self.offset + self.size]
        return self._codec.decode(memory, self.offset)

    @value.setter
    def value(self, value: Any) -> None:
        if self.is_read_only:
            raise CodecError(
                f"variable {self.name!r} lies in {self.section}, which is read-only once it is loaded: set it in the "
                f"spec (spec.variables[{self.name!r}].value = ...)"
            )
        raw = value if self._codec is None else self._codec.encode(value)
        if len(raw) != self.size:
            raise CodecError(f"variable {self.name!r} has {self.size} bytes, not {len(raw)}")
        self._section.memory[self.offset : self.offset + self.size] = raw

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} in {self.section}>"
