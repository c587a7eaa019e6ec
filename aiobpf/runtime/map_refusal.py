"""Why the kernel takes no map like that: BPF_MAP_CREATE gives an errno and not a word."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel import features
from aiobpf.kernel.first_kernels import MAP_FLAGS_SINCE
from aiobpf.runtime.element import BTF_TYPES, CGROUP_STORAGE_TYPES, INDEXED_TYPES, KEYLESS_TYPES
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from aiobpf.spec import MapSpec

_RINGS = frozenset({MapType.RINGBUF, MapType.USER_RINGBUF})
_WITHOUT_VALUES = _RINGS | {MapType.ARENA}
_TRIE_KEY = range(5, 4 + 256 + 1)
"""Bytes of a trie's key: the prefix's length, and what it is of (kernel/bpf/lpm_trie.c: LPM_KEY_SIZE_MIN, _MAX)."""

_SHA256_SIZE = 32


def missing_field(spec: MapSpec, error: int, token: int | None) -> NotSupportedError | None:
    """The flag or field of *spec* that this kernel is too old for, where it refused with *error*; None if none is."""
    if error not in kernel.UNSUPPORTED_ERRNOS | {errno.E2BIG}:
        return None
    for flag, since in MAP_FLAGS_SINCE.items():
        if spec.flags & flag and not features.may_support(flag, token):
            return NotSupportedError(f"map {spec.name!r}: flag {flag.name}", since)
    if spec.exclusive_program is not None and not _takes_exclusive_programs(token):
        hint = f"Without it, any program may use the map: {_place(spec)}.exclusive_program = None"
        return NotSupportedError(f"map {spec.name!r}: a map for one program alone", "6.18", hint)
    return None


def _takes_exclusive_programs(token: int | None) -> bool:
    """Asked, for a kernel that does not know the field says EINVAL or E2BIG, as its commands have grown."""
    try:
        kernel.create_map(MapType.ARRAY, 4, 4, 1, exclusive_program_hash=bytes(_SHA256_SIZE), token=token).close()
    except KernelError:
        return False
    return True


def why_refused(spec: MapSpec, error: int) -> str | None:
    """What is wrong with *spec*, which the kernel refused with the errno *error*, and the way out; None if unknown."""
    if error == errno.E2BIG:
        return (
            f"It would hold {spec.max_entries} entries, each of {spec.key_size} bytes of key and {spec.value_size} of "
            "value, which is more than this type of map takes"
        )
    if error != errno.EINVAL:
        return None
    if spec.exclusive_program is not None and len(spec.exclusive_program) != _SHA256_SIZE:
        return (
            f"{_place(spec)}.exclusive_program is a SHA-256 of {_SHA256_SIZE} bytes, not {len(spec.exclusive_program)}"
        )
    return _unset(spec) or _wrong_flags(spec) or _wrong_key(spec)


def _unset(spec: MapSpec) -> str | None:
    """What a map of that type must have and *spec* has not."""
    if spec.max_entries == 0 and spec.type not in BTF_TYPES | CGROUP_STORAGE_TYPES:
        missing = "max_entries"
    elif spec.value_size == 0 and spec.type not in _WITHOUT_VALUES:
        missing = "value_size"
    elif spec.key_size == 0 and spec.type not in KEYLESS_TYPES | _WITHOUT_VALUES:
        missing = "key_size"
    else:
        return None
    return f"Its {missing} is 0: objects leave it to their loader, {_place(spec)}.{missing} = ..."


def _wrong_flags(spec: MapSpec) -> str | None:
    flags = f"{_place(spec)}.flags"
    if (spec.type == MapType.LPM_TRIE or spec.type in BTF_TYPES) and not spec.flags & MapFlags.NO_PREALLOC:
        return f"A map of this type is always made without preallocation: {flags} |= MapFlags.NO_PREALLOC"
    if unknown := int(spec.flags) & ~sum(MapFlags):
        return f"Its flags have {unknown:#x}, which means nothing here: {flags}"
    return None


def _wrong_key(spec: MapSpec) -> str | None:
    size = f"{_place(spec)}.key_size is {spec.key_size}"
    if spec.type in INDEXED_TYPES and spec.key_size != 4:
        return f"Its keys are indices of 4 bytes: {size}"
    if spec.type in KEYLESS_TYPES and spec.key_size != 0:
        return f"It has no keys: {size}"
    if spec.type == MapType.LPM_TRIE and spec.key_size not in _TRIE_KEY:
        return f"Its keys are the length of a prefix in 4 bytes, and 1 to 256 bytes: {size}"
    return None


def _place(spec: MapSpec) -> str:
    return f"spec.maps[{spec.name!r}]"
