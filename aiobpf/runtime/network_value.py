"""What device and CPU maps hold: where a packet goes, and the program that it meets there."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, final

from attrs import frozen

from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from aiobpf.kernel.fd import FdLike


@frozen
class DevMapValue:
    """An interface (its name or index, in the network namespace of the calling thread) and an XDP program to run on
    each packet that is sent there (5.8).

    Read back, *interface* is an index and *program* the program's id, None where there is none.
    """

    interface: str | int
    program: FdLike | None = None


@frozen
class CpuMapValue:
    """How many packets may wait for a CPU, and an XDP program that runs on each over there (5.9).

    Read back, *program* is the program's id, None where there is none.
    """

    queue_size: int
    program: FdLike | None = None


_NONE = -1  # no program: 0 is a descriptor


def _program(given: FdLike | None) -> int:
    if given is None:
        return _NONE
    return given if isinstance(given, int) else given.fileno()


class _WithProgram:
    """A u32 (an interface, a queue's size), and where *size* is 8 a program beside it."""

    __slots__ = ("size",)
    _word = struct.Struct("=I")
    _pair = struct.Struct("=Ii")
    _read = struct.Struct("=II")

    def __init__(self, size: int) -> None:
        self.size = size

    def _packed(self, number: int, program: FdLike | None) -> bytes:
        try:
            if self.size == 8:
                return self._pair.pack(number, _program(program))
            if program is not None:
                raise CodecError("its values have no room for a program: give the map a value_size of 8")
            return self._word.pack(number)
        except struct.error as error:
            raise CodecError(f"a value is an integer from 0 to 2**32 - 1, not {number!r}") from error


@final
class DeviceElement(_WithProgram):
    """A value of a DEVMAP or DEVMAP_HASH: an interface; a `DevMapValue` where there is room for a program."""

    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        if isinstance(value, DevMapValue):
            return self._packed(_index(value.interface), value.program)
        return self._packed(_index(value), None)

    def decode(self, buffer: bytes, offset: int = 0) -> int | DevMapValue:
        if self.size != 8:
            return int(self._word.unpack_from(buffer, offset)[0])
        interface, program = self._read.unpack_from(buffer, offset)
        return DevMapValue(interface, program or None)


@final
class CpuElement(_WithProgram):
    """A value of a CPUMAP: a queue's size; a `CpuMapValue` where there is room for a program."""

    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        if isinstance(value, CpuMapValue):
            return self._packed(value.queue_size, value.program)
        return self._packed(value, None)

    def decode(self, buffer: bytes, offset: int = 0) -> int | CpuMapValue:
        if self.size != 8:
            return int(self._word.unpack_from(buffer, offset)[0])
        queue_size, program = self._read.unpack_from(buffer, offset)
        return CpuMapValue(queue_size, program or None)


def _index(interface: object) -> int:
    if isinstance(interface, int):
        return interface
    if not isinstance(interface, str):
        raise CodecError(f"an interface is its name or index, not {interface!r}")
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:
        raise CodecError(f"there is no interface {interface!r} in this network namespace") from error
