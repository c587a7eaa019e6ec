"""What the running kernel can do, found out by trying.

A version number decides nothing: distributions carry features back and leave others out. Each probe asks the kernel for
the smallest thing that needs the feature, and gives `Supported`, `Unsupported` or, where the answer says something else
(a missing privilege), `Inconclusive`.
"""

from __future__ import annotations

import errno
from enum import Enum
from functools import cache, partial
from typing import TYPE_CHECKING, TypeAlias, cast, final

from attrs import frozen

from aiobpf.errors import SpecError
from aiobpf.kernel.btf_probes import BTF_PROBES, PLAIN_BTF
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.feature_probes import PROBES, probe_map_type, probe_program_type
from aiobpf.kernel.first_kernels import (
    ATTACH_TYPES_SINCE,
    LINK_TYPES_SINCE,
    MAP_FLAGS_SINCE,
    MAP_TYPES_SINCE,
    PROGRAM_TYPES_SINCE,
    helper_since,
)
from aiobpf.kernel.programs import load_btf
from aiobpf.kernel.release import kernel_release
from aiobpf.kernel.worker import in_worker
from aiobpf.uapi import AttachType, LinkType, MapFlags, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.asm import Helper
    from aiobpf.btf import BtfFeature
    from aiobpf.kernel.fd import FdLike
    from aiobpf.kernel.feature_report import FeatureReport
    from aiobpf.kernel.program_ways import ProgramWays


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
    ISA_V2 = "4.14"
    """Unsigned comparisons: clang -mcpu=v2."""
    BTF = "4.18"
    ISA_V3 = "5.1"
    """Jumps on 32 bits: clang -mcpu=v3."""
    GLOBAL_DATA = "5.2"
    LARGE_PROGRAMS = "5.2+"
    """More than 4,096 instructions: a million are verified."""
    BOUNDED_LOOPS = "5.3"
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
    UPROBE_MULTI_PROCESS = "6.10"
    """uprobe.multi links that watch all threads of a process, where they are told to watch it."""
    LOAD_ACQUIRE = "6.15"
    FULL_RANGE_OFFSETS = "7.0"
    """Offsets above 512 MiB in a load of a map value's address."""
    ONE_CPU_VALUE = "7.0+"
    """One CPU's value of a per-CPU map read and set alone (BPF_F_CPU)."""

    @property
    def since(self) -> str:
        return self.value.rstrip("+")  # the + only tells features of one kernel apart


@frozen
class HelperCall:
    """That programs of a type may call a helper: ``HelperCall(Helper.LOOP, ProgramType.XDP)``.

    For tracing and LSM programs: in one way of attaching them at least; for struct_ops: in tcp_congestion_ops.
    """

    helper: int
    program_type: ProgramType


@frozen
class KfuncCall:
    """That programs of a type, or of any, may call a function of the kernel or of a loaded module."""

    name: str
    program_type: ProgramType | None = None


@frozen
class MapFlag:
    """That maps of a type take a flag; None for the type that the flag was made for."""

    flag: MapFlags
    map_type: MapType | None = None


if TYPE_CHECKING:
    Question: TypeAlias = (
        Feature
        | BtfFeature
        | MapType
        | ProgramType
        | AttachType
        | LinkType
        | MapFlags
        | MapFlag
        | Helper
        | HelperCall
        | KfuncCall
    )
    """What can be asked. `Helper` alone asks whether the kernel knows it at all."""


@final
class KernelFeatures:
    """Answers of one kernel to one caller; conclusive ones are kept, as they cannot change while it runs.

    With a *token* the probes are made under it: what an unprivileged caller may do with a BPF token (6.9). What a
    module that is loaded later has is not kept.
    """

    def __init__(self, token: FdLike | None = None) -> None:
        self._token = token
        self._known: dict[object, Answer] = {}
        self._program_ways: dict[ProgramType, ProgramWays] = {}
        self._missing: frozenset[BtfFeature] | None = None

    def probe(self, feature: Question) -> Answer:
        """What the kernel says to *feature*. SpecError for what there is no probe for."""
        known = self._known.get((type(feature), feature))
        if known is not None:
            return known
        answer = self._ask(feature)
        if not isinstance(answer, Inconclusive) and not isinstance(feature, KfuncCall):
            self._known[type(feature), feature] = answer
        return answer

    def _ask(self, feature: Question) -> Answer:
        token = self._token
        match feature:
            case MapType():
                return self._try(lambda: probe_map_type(feature, token), MAP_TYPES_SINCE.get(feature))
            case ProgramType():
                return self._try(lambda: probe_program_type(feature, token), PROGRAM_TYPES_SINCE.get(feature))
            case Feature.BTF:
                return self._try(lambda: load_btf(PLAIN_BTF, token=token), Feature.BTF.since)
            case Feature():
                return self._try(lambda: PROBES[feature.name](token), feature.since)
            case AttachType() if feature in ATTACH_TYPES_SINCE:
                from aiobpf.kernel.attach_probes import probe_attach_type

                return self._try(lambda: probe_attach_type(feature, token), ATTACH_TYPES_SINCE[feature])
            case LinkType() if feature in LINK_TYPES_SINCE:
                from aiobpf.kernel.attach_probes import probe_link_type

                return self._try(lambda: probe_link_type(feature, token), LINK_TYPES_SINCE[feature])
            case MapFlags() if feature in MAP_FLAGS_SINCE:
                return self._ask(MapFlag(feature))
            case MapFlag() if feature.flag in MAP_FLAGS_SINCE:
                return self._map_flag(feature)
            case HelperCall():
                return self._helper_call(feature)
            case KfuncCall():
                return self._kfunc_call(feature)
            case _ if type(feature).__name__ == "Helper":  # the enum costs a millisecond, which few need
                return self._helper(cast("int", feature))
        data = BTF_PROBES.get(getattr(feature, "name", ""))
        if data is None:
            kinds = (
                "a Feature, a BtfFeature, a type of map, program, link or attachment, a map's flag, a helper, a kfunc"
            )
            raise SpecError(f"there is no probe for {feature!r}: it takes {kinds}")
        make = data
        since = cast("BtfFeature", feature).value.rpartition(", ")[2]
        return self._try(lambda: load_btf(make(), token=token), since)

    def _map_flag(self, wanted: MapFlag) -> Answer:
        from aiobpf.kernel.map_flag_probes import probe_map_flag

        since = MAP_FLAGS_SINCE[wanted.flag] if wanted.map_type is None else None
        return self._try(lambda: probe_map_flag(wanted.flag, wanted.map_type, self._token), since)

    def _helper(self, helper: int) -> Answer:
        from aiobpf.kernel.helper_probes import HelperAnswer, ask_for_helper

        ways = self._ways(ProgramType.SOCKET_FILTER)
        if not ways:
            return self.probe(ProgramType.SOCKET_FILTER)
        return self._try(lambda: ask_for_helper(ways, helper) is not HelperAnswer.NO_SUCH_HELPER, helper_since(helper))

    def _helper_call(self, call: HelperCall) -> Answer:
        """*since* is told where the kernel lacks the helper or the type: where it has both, no table says it."""
        from aiobpf.kernel.helper_probes import HelperAnswer, ask_for_helper

        since = helper_since(call.helper)
        if call.program_type == ProgramType.EXT:
            return Inconclusive("an extension may call what the program that it extends may")
        ways = self._ways(call.program_type)
        if not ways:
            return self._no_ways(call.program_type, since)
        said = HelperAnswer.NOT_FOR_THE_TYPE

        def ask() -> bool:
            nonlocal said
            said = ask_for_helper(ways, call.helper)
            return said is HelperAnswer.YES

        answer = self._try(ask, None)
        return Unsupported(since) if said is HelperAnswer.NO_SUCH_HELPER else answer

    def _no_ways(self, program_type: ProgramType, since: str | None) -> Answer:
        """For what programs of a type may call, where none of them loads."""
        match self.probe(program_type):
            case Unsupported(type_since):
                return Unsupported(_later(since, type_since))
            case Supported():
                return Inconclusive(f"no program of type {program_type.name} loads here to ask with")
            case doubt:
                return doubt

    def _kfunc_call(self, call: KfuncCall) -> Answer:
        from aiobpf.kernel.first_kfuncs import KFUNCS_SINCE
        from aiobpf.kernel.helper_probes import may_call_kfunc

        types = [each for each in ProgramType if each] if call.program_type is None else [call.program_type]
        since = KFUNCS_SINCE.get(call.name)
        doubt: Answer | None = None
        for program_type in types:
            ways = self._ways(program_type)
            if ways:
                answer = self._try(partial(may_call_kfunc, ways, call.name), since)
            else:
                answer = self._no_ways(program_type, since)
            if isinstance(answer, Supported):
                return answer
            if isinstance(answer, Inconclusive) and program_type != ProgramType.EXT:
                doubt = answer
        if doubt is not None:
            return doubt
        if since is not None and kernel_release() >= tuple(map(int, since.split("."))):
            return Unsupported()  # it is there, but not for this type, or not in this configuration
        return Unsupported(since)

    def _ways(self, program_type: ProgramType) -> ProgramWays:
        found = self._program_ways.get(program_type)
        if found is None:
            from aiobpf.kernel.program_ways import ProgramWays

            found = ProgramWays(program_type, self._token)
            if found or isinstance(self.probe(program_type), Unsupported):
                self._program_ways[program_type] = found
        return found

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

    def may_support(self, feature: Question) -> bool:
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


def _later(one: str | None, other: str | None) -> str | None:
    known = [version for version in (one, other) if version is not None]
    return max(known, key=lambda version: tuple(map(int, version.split("."))), default=None)


async def probe(feature: Question, *, token: FdLike | None = None) -> Answer:
    """What the kernel says to *feature*: ``await aiobpf.features.probe(MapType.ARENA)``.

    It may be a `Feature`, a `BtfFeature`, a `MapType`, `ProgramType`, `AttachType` or `LinkType`, a `MapFlags` (or
    `MapFlag` with a type of map), a helper's number (`aiobpf.asm.Helper`) or a `HelperCall` from a type of program, a
    `KfuncCall`. SpecError for anything else.

    `Supported`, `Unsupported` with the first kernel that has it where one is known, or `Inconclusive` where it would
    not say (a missing privilege). In a worker thread: a probe may load a program.
    """
    return await in_worker(kernel_features(token).probe, feature)


async def report(*, token: FdLike | None = None) -> FeatureReport:
    """Everything that there is a probe for, but kfuncs: some 7,000 small loads, about half a second.

    In worker threads, a type of program each, so that it can be cancelled in between.
    """
    from aiobpf.kernel.feature_report import make_report

    return await make_report(kernel_features(token))


def missing_btf_features(token: FdLike | None = None) -> frozenset[BtfFeature]:
    return kernel_features(token).missing_btf_features()


def may_support(feature: Question, token: FdLike | None = None) -> bool:
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
