"""The value of one CPU in a per-CPU map: BPF_F_CPU, with the CPU in the upper half of the flags (7.0)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.runtime.element import PerCpuElement
from aiobpf.uapi import UpdateFlags

if TYPE_CHECKING:
    from aiobpf.runtime.map import Map

_CPU_SHIFT = 32


def lookup_cpu(map_: Map, key: Any, cpu: int, flags: int) -> bytes | None:
    """The bytes of the value of *cpu*, or None; an older kernel gives all CPUs' to choose from."""
    element = _element(map_, cpu)
    raw_key = map_.key_codec.encode(key)
    try:
        raw = map_.elements.lookup(raw_key, flags | UpdateFlags.CPU | cpu << _CPU_SHIFT)
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
    else:
        return None if raw is None else raw[: element.value.size]
    raw = map_.elements.lookup(raw_key, flags)
    at = cpu * element.stride
    return None if raw is None else raw[at : at + element.value.size]


def update_cpu(map_: Map, key: Any, value: Any, cpu: int, flags: int) -> None:
    """Set the value of *cpu*, and leave those of the others; NotSupportedError before 7.0."""
    element = _element(map_, cpu)
    raw_key = map_.key_codec.encode(key)
    # The kernel reads one value. One that does not know the flag would read all before it says so.
    raw = element.value.encode(value).ljust(element.size, b"\0")
    try:
        map_.elements.update(raw_key, raw, flags | UpdateFlags.CPU | cpu << _CPU_SHIFT)
    except KernelError as error:
        if error.errno == errno.EINVAL and not _is_known():
            raise NotSupportedError(
                f"map {map_.name!r}: setting the value of one CPU", "7.0", "Set those of all CPUs: a list, or a PerCpu"
            ) from error
        raise


def _is_known() -> bool:
    from aiobpf.kernel.features import Feature, Supported, kernel_features

    return isinstance(kernel_features().probe(Feature.ONE_CPU_VALUE), Supported)


def _element(map_: Map, cpu: int) -> PerCpuElement:
    element = map_.value_codec
    if not isinstance(element, PerCpuElement):
        raise SpecError(f"map {map_.name!r} is of type {map_.type.name}, which has one value for all CPUs")
    if not 0 <= cpu < element.cpus:
        raise IndexError(f"map {map_.name!r} has values of CPUs 0 to {element.cpus - 1}, not of {cpu}")
    return element
