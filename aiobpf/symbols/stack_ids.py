"""What a stack trace map has for a stack: addresses, or build ids and offsets."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from aiobpf.errors import MapKeyError, SpecError
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from collections.abc import Sequence

_ID: Final = struct.Struct("=I")
_BUILD_ID: Final = struct.Struct("=i20sQ")
_EMPTY, _VALID, _IP = 0, 1, 2  # enum bpf_stack_build_id_status


class Elements(Protocol):
    def lookup(self, key: bytes, flags: int = 0) -> bytes | None: ...


class StackMap(Protocol):
    """What is needed of a stack trace map; `aiobpf.Map` has it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> MapType: ...
    @property
    def flags(self) -> int: ...
    @property
    def elements(self) -> Elements: ...


@frozen
class BuildIdPlace:
    """A place in a file that is known by its build id; *offset* is in the file."""

    build_id: bytes
    offset: int


def stack_of(map: StackMap, stack_id: int) -> list[int | BuildIdPlace]:  # noqa: A002 - the field's own word
    """The places of a stack, the innermost first: addresses, or build ids where the map was made for them.

    Raises MapKeyError for a stack that is not there (any more: others take its place), SpecError for another map, and
    for a *stack_id* that is an errno (-EFAULT: no stack; -EEXIST: its place was taken, see BPF_F_REUSE_STACKID).
    """
    if map.type != MapType.STACK_TRACE:
        raise SpecError(f"map {map.name!r} is a {map.type.name} map, not one of stack traces")
    if stack_id < 0:
        raise SpecError(f"map {map.name!r}: {stack_id} is what bpf_get_stackid gives where it has no stack")
    raw = map.elements.lookup(_ID.pack(stack_id))
    if raw is None:
        raise MapKeyError(f"map {map.name!r} has no stack {stack_id}", stack_id)
    if map.flags & MapFlags.STACK_BUILD_ID:
        return list(parse_build_ids(raw))
    return list(parse_addresses(raw))


def parse_addresses(raw: bytes) -> list[int]:
    """The addresses of a stack's bytes (a map's value, or what bpf_get_stack wrote to an event): up to the first 0."""
    words = memoryview(raw)[: len(raw) // 8 * 8].cast("Q")
    found = []
    for word in words:
        if not word:
            break
        found.append(word)
    return found


def parse_build_ids(raw: bytes) -> Sequence[int | BuildIdPlace]:
    """The same with BPF_F_USER_BUILD_ID (struct bpf_stack_build_id); an address where a file's id was not to be had."""
    found: list[int | BuildIdPlace] = []
    for status, build_id, value in _BUILD_ID.iter_unpack(raw[: len(raw) // _BUILD_ID.size * _BUILD_ID.size]):
        if status == _EMPTY:
            break
        found.append(BuildIdPlace(build_id, value) if status == _VALID else value)
    return found
