"""Values that are places in code: stacks, and the instructions of an instruction array."""

from __future__ import annotations

import struct
from typing import Any, final

from attrs import frozen

from aiobpf.errors import CodecError

_IP = 8
_BUILD_ID = struct.Struct("=i20sQ")  # struct bpf_stack_build_id
_EMPTY, _VALID, _IP_ONLY = range(3)


@frozen
class BuildIdFrame:
    """A frame of a stack that was taken with BPF_F_STACK_BUILD_ID (4.17)."""

    build_id: bytes | None
    """Of the file that is mapped there, 20 bytes; None where the kernel could not read it."""
    offset: int
    """Bytes into that file; the address itself where there is no build id."""


@final
class StackElement:
    """A value of a STACK_TRACE: addresses, the innermost frame first, as many as there are."""

    __slots__ = ("_format", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._format = f"={size // _IP}Q"

    def encode(self, value: Any) -> bytes:
        raise CodecError("the kernel alone writes stacks (bpf_get_stackid)")

    def decode(self, buffer: bytes, offset: int = 0) -> list[int]:
        frames = struct.unpack_from(self._format, buffer, offset)
        # The kernel leaves zeros behind the last one (bpf_stackmap_extract).
        return list(frames[: frames.index(0)] if 0 in frames else frames)


@final
class BuildIdStackElement:
    """A value of a STACK_TRACE with build ids: `BuildIdFrame`, the innermost first."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, value: Any) -> bytes:
        raise CodecError("the kernel alone writes stacks (bpf_get_stackid)")

    def decode(self, buffer: bytes, offset: int = 0) -> list[BuildIdFrame]:
        found = []
        for at in range(offset, offset + self.size - _BUILD_ID.size + 1, _BUILD_ID.size):
            status, build_id, place = _BUILD_ID.unpack_from(buffer, at)
            if status == _EMPTY:
                break
            found.append(BuildIdFrame(build_id if status == _VALID else None, place))
        return found


@frozen
class InstructionPlace:
    """A value of an INSN_ARRAY (6.19): where an instruction of the program went. Offsets of slots, but for the last."""

    original: int
    """In the program as it was given."""
    translated: int = 0
    """In the program as the verifier left it; 2**32 - 1 where it was removed."""
    jited: int = 0
    """Bytes into the machine code."""


@final
class InstructionElement:
    """A value of an INSN_ARRAY: set to the slot of an instruction, read as an `InstructionPlace`."""

    __slots__ = ("size",)
    _struct = struct.Struct("=IIII")  # orig_off xlated_off jitted_off, and padding

    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, value: Any) -> bytes:
        slot = value.original if isinstance(value, InstructionPlace) else value
        try:
            return self._struct.pack(slot, 0, 0, 0)
        except struct.error as error:
            raise CodecError(f"a value is the slot of an instruction, not {value!r}") from error

    def decode(self, buffer: bytes, offset: int = 0) -> InstructionPlace:
        original, translated, jited, _ = self._struct.unpack_from(buffer, offset)
        return InstructionPlace(original, translated, jited)
