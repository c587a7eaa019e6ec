"""Everything that the running kernel says of itself, in one value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from aiobpf.asm import Helper
from aiobpf.btf import BtfFeature
from aiobpf.kernel.features import Answer, Feature, HelperCall, Inconclusive, KernelFeatures, Supported
from aiobpf.kernel.first_kernels import ATTACH_TYPES_SINCE, LINK_TYPES_SINCE, MAP_FLAGS_SINCE
from aiobpf.kernel.worker import in_worker
from aiobpf.uapi import AttachType, LinkType, MapFlags, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiobpf.kernel.features import Question

_SYSCTL = Path("/proc/sys")
_SETTINGS = (
    "kernel/unprivileged_bpf_disabled",
    "kernel/bpf_stats_enabled",
    "net/core/bpf_jit_enable",
    "net/core/bpf_jit_harden",
    "net/core/bpf_jit_kallsyms",
    "net/core/bpf_jit_limit",
)
Q = TypeVar("Q", bound="Question")


@frozen
class FeatureReport:
    """The answer to each question, by kind."""

    release: str
    machine: str
    settings: Mapping[str, int | None]
    """The sysctls about BPF ("net.core.bpf_jit_enable"); None where there is none, or it may not be read."""
    program_types: Mapping[ProgramType, Answer]
    map_types: Mapping[MapType, Answer]
    map_flags: Mapping[MapFlags, Answer]
    attach_types: Mapping[AttachType, Answer]
    link_types: Mapping[LinkType, Answer]
    features: Mapping[Feature, Answer]
    btf_features: Mapping[BtfFeature, Answer]
    helpers: Mapping[ProgramType, Mapping[Helper, Answer]]
    """What programs of each type may call."""

    def helpers_of(self, program_type: ProgramType) -> tuple[Helper, ...]:
        """Those that programs of the type may call, by number."""
        answers = self.helpers[program_type]
        return tuple(helper for helper, answer in answers.items() if isinstance(answer, Supported))

    @property
    def is_complete(self) -> bool:
        """Whether the kernel answered all: who lacks privileges gets `Inconclusive` for much."""
        answers = (
            *self.program_types.values(),
            *self.map_types.values(),
            *self.map_flags.values(),
            *self.attach_types.values(),
            *self.link_types.values(),
            *self.features.values(),
            *self.btf_features.values(),
        )
        return not any(isinstance(answer, Inconclusive) for answer in answers)


async def make_report(kernel: KernelFeatures) -> FeatureReport:
    async def ask(questions: Iterable[Q]) -> dict[Q, Answer]:
        wanted = list(questions)
        return await in_worker(lambda: {question: kernel.probe(question) for question in wanted})

    async def helpers_of(program_type: ProgramType) -> dict[Helper, Answer]:
        return await in_worker(lambda: {helper: kernel.probe(HelperCall(helper, program_type)) for helper in Helper})

    program_types = [each for each in ProgramType if each]
    names = os.uname()
    return FeatureReport(
        release=names.release,
        machine=names.machine,
        settings={name.replace("/", "."): _setting(name) for name in _SETTINGS},
        program_types=await ask(program_types),
        map_types=await ask(each for each in MapType if each),
        map_flags=await ask(MAP_FLAGS_SINCE),
        attach_types=await ask(ATTACH_TYPES_SINCE),
        link_types=await ask(LINK_TYPES_SINCE),
        features=await ask(Feature),
        btf_features=await ask(BtfFeature),
        helpers={each: await helpers_of(each) for each in program_types},
    )


def _setting(name: str) -> int | None:
    try:
        return int((_SYSCTL / name).read_text())
    except (OSError, ValueError):
        return None
