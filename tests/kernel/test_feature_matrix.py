"""What the kernel says to each probe is what its version lets expect: run on every kernel at hand, and on this one.

A probe that says "yes" too easily, or a version in a table that is wrong, fails here on one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import BtfFeature
from aiobpf.kernel import (
    Feature,
    KernelFeatures,
    Supported,
    Unsupported,
    kernel_release,
    missing_btf_features,
    supports_bpf_cookie,
    supports_btf,
    supports_map_type,
    supports_probe_read_kernel,
    supports_program_type,
)
from aiobpf.kernel.first_kernels import MAP_TYPES_SINCE, PROGRAM_TYPES_SINCE
from aiobpf.uapi import MapType, ProgramType
from tests.kernel_probes import has_trampolines, option_is_off, refuses_trampolines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiobpf.kernel.features import Answer

pytestmark = pytest.mark.root


def expected(since: str) -> Answer:
    """What the version alone lets expect."""
    major, minor = since.split(".")
    return Supported() if kernel_release() >= (int(major), int(minor)) else Unsupported(since)


def no_trampolines() -> str | None:
    return None if has_trampolines() else refuses_trampolines()


LEFT_OUT: Mapping[ProgramType, Callable[[], str | None]] = {
    ProgramType.LIRC_MODE2: option_is_off("CONFIG_BPF_LIRC_MODE2"),
    ProgramType.LSM: lambda: option_is_off("CONFIG_BPF_LSM")() or no_trampolines(),
    ProgramType.EXT: no_trampolines,
    ProgramType.NETFILTER: option_is_off("CONFIG_NETFILTER_BPF_LINK"),
}
"""Types that a kernel may be built without."""


@pytest.mark.parametrize("feature", list(Feature), ids=lambda feature: feature.name)
def test_a_feature_is_there_from_its_kernel_on(feature: Feature) -> None:
    assert KernelFeatures().probe(feature) == expected(feature.since)


@pytest.mark.parametrize("feature", list(BtfFeature), ids=lambda feature: feature.name)
def test_a_kind_of_btf_is_taken_from_its_kernel_on(feature: BtfFeature) -> None:
    answer = expected(feature.value.rpartition(", ")[2])
    assert KernelFeatures().probe(feature) == answer
    assert (feature in missing_btf_features()) is (not answer)


@pytest.mark.parametrize("map_type", list(MapType)[1:], ids=lambda map_type: map_type.name)
def test_a_map_type_is_there_from_its_kernel_on(map_type: MapType) -> None:
    assert KernelFeatures().probe(map_type) == expected(MAP_TYPES_SINCE[map_type])


@pytest.mark.parametrize("program_type", list(ProgramType)[1:], ids=lambda program_type: program_type.name)
def test_a_program_type_is_there_from_its_kernel_on(program_type: ProgramType) -> None:
    answer, since = KernelFeatures().probe(program_type), PROGRAM_TYPES_SINCE[program_type]
    if answer == Unsupported(since) and LEFT_OUT.get(program_type, lambda: None)() is not None:
        return
    assert answer == expected(since)


def test_short_questions_have_the_same_answers() -> None:
    assert supports_map_type(MapType.RINGBUF)
    assert supports_map_type(MapType.BLOOM_FILTER) == bool(expected("5.16"))
    assert supports_program_type(ProgramType.TRACING)
    assert supports_btf()
    assert supports_bpf_cookie() == bool(expected("5.15"))
    assert supports_probe_read_kernel()
