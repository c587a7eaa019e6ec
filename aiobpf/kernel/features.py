"""What the running kernel can do, found out by trying.

A version number decides nothing: distributions carry features back and leave others out. Each probe asks the kernel for
the smallest thing that needs the feature, and gives `Supported`, `Unsupported` or, where the answer says something else
(a missing privilege), `Inconclusive`.
"""

from __future__ import annotations

import errno
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, final

from attrs import frozen

from aiobpf.errors import SpecError
from aiobpf.kernel.btf_probes import BTF_PROBES, PLAIN_BTF
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.feature_probes import PROBES, probe_map_type, probe_program_type
from aiobpf.kernel.first_kernels import MAP_TYPES_SINCE, PROGRAM_TYPES_SINCE
from aiobpf.kernel.programs import load_btf
from aiobpf.kernel.worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.btf import BtfFeature
    from aiobpf.kernel.fd import FdLike
    from aiobpf.uapi import MapType, ProgramType


@frozen
class Supported:
    def __bool__(self) -> bool:
        return True


@frozen
class Unsupported:
    since: str | None = None
    """The first mainline kernel that has it, where one is known."""

    def __bool__(self) -> bool:
        return False


@frozen
class Inconclusive:
    """The kernel would not say."""

    why: str

    def __bool__(self) -> bool:
        """A maybe must not be taken for either: ask for the class."""
        raise TypeError(f"the probe was inconclusive: {self.why}")


Answer: TypeAlias = "Supported | Unsupported | Inconclusive"


class Feature(Enum):
    """What loading a program may depend on, with the first mainline kernel that has it."""

    OBJECT_NAMES = "4.15"
    EXPECTED_ATTACH_TYPE = "4.17"
    BTF = "4.18"
    GLOBAL_DATA = "5.2"
    MMAPABLE_ARRAY = "5.5"
    PROBE_READ_KERNEL = "5.5+"
    PROG_BIND_MAP = "5.10"
    MODULE_BTF = "5.11"
    MEMCG_ACCOUNTING = "5.11+"
    ATOMICS = "5.12"
    """Atomic operations but for adding without a result."""
    FUNCTION_POINTERS = "5.13"
    """Addresses of functions in instructions: what callbacks are."""
    PERF_LINK = "5.15"
    BPF_COOKIE = "5.15+"
    UPROBE_MULTI = "6.6"
    ISA_V4 = "6.6+"
    """Instructions that clang makes with -mcpu=v4."""
    ARG_CTX_TAG = "6.8"
    TOKEN = "6.9"
    MAY_GOTO = "6.9+"
    LOAD_ACQUIRE = "6.15"
    FULL_RANGE_OFFSETS = "7.0"
    """Offsets above 512 MiB in a load of a map value's address."""
    ONE_CPU_VALUE = "7.0+"
    """One CPU's value of a per-CPU map read and set alone (BPF_F_CPU)."""

    @property
    def since(self) -> str:
        return self.value.rstrip("+")  # the + only tells features of one kernel apart


@final
class KernelFeatures:
    """Answers of one kernel to one caller; conclusive ones are kept, as they cannot change while it runs.

    With a *token* the probes are made under it: what an unprivileged caller may do with a BPF token (6.9).
    """

    def __init__(self, token: FdLike | None = None) -> None:
        self._token = token
        self._known: dict[object, Answer] = {}
        self._missing: frozenset[BtfFeature] | None = None

    def probe(self, feature: Feature | BtfFeature | MapType | ProgramType) -> Answer:
        """What the kernel says to *feature*."""
        from aiobpf.uapi import MapType, ProgramType

        known = self._known.get((type(feature), feature))
        if known is not None:
            return known
        answer: Answer
        since: str | None
        if isinstance(feature, MapType):
            answer = self._try(lambda: probe_map_type(feature, self._token), MAP_TYPES_SINCE.get(feature))
        elif isinstance(feature, ProgramType):
            since = PROGRAM_TYPES_SINCE.get(feature)
            answer = self._try(lambda: probe_program_type(feature, self._token), since)
        elif feature is Feature.BTF:
            answer = self._try(lambda: load_btf(PLAIN_BTF, token=self._token), Feature.BTF.since)
        elif isinstance(feature, Feature):
            answer = self._try(lambda: PROBES[feature.name](self._token), feature.since)
        else:
            data = BTF_PROBES.get(getattr(feature, "name", ""))
            if data is None:
                kinds = "a Feature, BtfFeature, MapType or ProgramType"
                raise SpecError(f"there is no probe for {feature!r}: it takes {kinds}")
            make = data
            since = feature.value.rpartition(", ")[2]
            answer = self._try(lambda: load_btf(make(), token=self._token), since)
        if not isinstance(answer, Inconclusive):
            self._known[type(feature), feature] = answer
        return answer

    def _try(self, attempt: Callable[[], OwnedFd | bool], since: str | None) -> Answer:
        try:
            made = attempt()
        except OSError as error:
            if error.errno in {errno.EPERM, errno.EACCES}:
                return Inconclusive(str(error))
            if error.errno in {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR}:
                return Inconclusive(str(error))
            return Unsupported(since)
        if isinstance(made, OwnedFd):
            made.close()
            return Supported()
        return Supported() if made else Unsupported(since)

    def may_support(self, feature: Feature | BtfFeature | MapType | ProgramType) -> bool:
        """False only where the kernel said no: what is in doubt is tried, and the real call says what is wrong."""
        return not isinstance(self.probe(feature), Unsupported)

    def missing_btf_features(self) -> frozenset[BtfFeature]:
        """What `BtfBuilder.encode` has to leave out for this kernel."""
        from aiobpf.btf import BtfFeature

        if self._missing is not None:
            return self._missing
        answers = {feature: self.probe(feature) for feature in BtfFeature}
        missing = frozenset(feature for feature, answer in answers.items() if isinstance(answer, Unsupported))
        if not any(isinstance(answer, Inconclusive) for answer in answers.values()):
            self._missing = missing  # each load asks, and asking again takes longer than encoding a small BTF
        return missing


@cache
def _running() -> KernelFeatures:
    return KernelFeatures()


def kernel_features(token: FdLike | None = None) -> KernelFeatures:
    """The running kernel's features, kept for the process; under a *token* probed anew: its number may be reused."""
    return _running() if token is None else KernelFeatures(token)


async def probe(feature: Feature | BtfFeature | MapType | ProgramType, *, token: FdLike | None = None) -> Answer:
    """What the kernel says to *feature*: ``await aiobpf.features.probe(MapType.ARENA)``.

    `Supported`, `Unsupported` with the first kernel that has it where one is known, or `Inconclusive` where it would
    not say (a missing privilege). In a worker thread: a probe may load a program.
    """
    return await in_worker(kernel_features(token).probe, feature)


def missing_btf_features(token: FdLike | None = None) -> frozenset[BtfFeature]:
    return kernel_features(token).missing_btf_features()


def may_support(feature: Feature | BtfFeature | MapType | ProgramType, token: FdLike | None = None) -> bool:
    """False only where the running kernel said no to *feature*."""
    return kernel_features(token).may_support(feature)


def supports_btf(token: FdLike | None = None) -> bool:
    return kernel_features(token).may_support(Feature.BTF)


def supports_bpf_cookie() -> bool:
    return kernel_features().may_support(Feature.BPF_COOKIE)


def supports_probe_read_kernel() -> bool:
    return kernel_features().may_support(Feature.PROBE_READ_KERNEL)


def supports_map_type(map_type: MapType) -> bool:
    return kernel_features().may_support(map_type)


def supports_program_type(program_type: ProgramType) -> bool:
    return kernel_features().may_support(program_type)


def supports_full_range_offsets() -> bool:
    """Only where the kernel says so: in doubt, what every kernel takes works too."""
    return isinstance(kernel_features().probe(Feature.FULL_RANGE_OFFSETS), Supported)
