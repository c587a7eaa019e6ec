"""Feature probes, and the privileges that a refusal names."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from aiobpf.errors import KernelError, MissingPrivilegeError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import (
    Capability,
    Feature,
    Inconclusive,
    KernelFeatures,
    Supported,
    Unsupported,
    feature_probes,
    features,
    privilege_error,
    raise_memlock_limit,
    supports_btf,
)
from aiobpf.kernel import capabilities as capabilities_module
from aiobpf.uapi import AttachType, LinkType, MapType, ProgramType


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMFILE, errno.ENOMEM, errno.EAGAIN])
def test_a_refusal_for_another_reason_is_inconclusive_and_asked_again(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> bool:
        raise kernel_error(number, "BPF_MAP_CREATE", "a map")

    known = KernelFeatures()
    with monkeypatch.context() as patched:
        patched.setattr(features, "probe_map_type", refuse)
        answer = known.probe(MapType.HASH)
        assert isinstance(answer, Inconclusive)
        assert "a map" in answer.why
        with pytest.raises(TypeError, match="inconclusive"):
            bool(answer)
        assert known.may_support(MapType.HASH)
    monkeypatch.setattr(features, "probe_map_type", lambda *_: True)
    assert known.probe(MapType.HASH) == Supported()
    assert known.probe(MapType.HASH)


def test_a_conclusive_answer_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def refuse(*arguments: object) -> bool:
        asked.append(arguments)
        raise kernel_error(errno.EINVAL, "BPF_MAP_CREATE", "a map")

    monkeypatch.setattr(features, "probe_map_type", refuse)
    known = KernelFeatures()
    assert known.probe(MapType.HASH) == Unsupported("3.19")
    assert not known.probe(MapType.HASH)
    assert not known.may_support(MapType.HASH)
    assert len(asked) == 1


def test_a_feature_under_a_token_is_probed_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: list[object] = []

    def note(*arguments: object, token: object = None, **_: object) -> object:
        tokens.append(token)
        raise kernel_error(errno.EINVAL, "BPF_BTF_LOAD", "BTF")

    monkeypatch.setattr(features, "load_btf", note)
    assert not supports_btf(55)
    assert not supports_btf(55)
    assert tokens == [55, 55]  # not kept: the number may be another token's by now


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        (ProgramType.EXT, "Cannot replace kernel functions", True),
        (ProgramType.LSM, "attach_btf_id 1 is not a function", True),
        (ProgramType.TRACING, "attach_btf_id 1 is not a typedef", True),
    ],
)
def test_types_that_need_a_target_are_told_by_the_verifiers_words(
    monkeypatch: pytest.MonkeyPatch, kind: ProgramType, said: str, expected: bool
) -> None:
    def refuse(*_: object, log: bytearray, **__: object) -> None:
        log[: len(said)] = said.encode()
        raise kernel_error(errno.EINVAL, "BPF_PROG_LOAD", "a program")

    monkeypatch.setattr(feature_probes, "load_program", refuse)
    assert feature_probes.probe_program_type(kind) is expected


def test_a_type_that_needs_a_target_may_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kernel_error(errno.EINVAL, "BPF_PROG_LOAD", "a program")

    def no_trampolines(*_: object, **__: object) -> None:
        raise NotSupportedError("trampolines")

    monkeypatch.setattr(feature_probes, "load_program", refuse)
    for kind in (ProgramType.EXT, ProgramType.STRUCT_OPS):
        with pytest.raises(KernelError):
            feature_probes.probe_program_type(kind)
    monkeypatch.setattr(feature_probes, "load_program", no_trampolines)
    assert feature_probes.probe_program_type(ProgramType.LSM) is False


# --- privileges -------------------------------------------------------------------------------------------------------


def give(monkeypatch: pytest.MonkeyPatch, *given: Capability, release: tuple[int, int] = (6, 12)) -> None:
    monkeypatch.setattr(capabilities_module, "effective", lambda: frozenset(given))
    monkeypatch.setattr(capabilities_module, "kernel_release", lambda: release)


@pytest.mark.parametrize(
    ("kind", "given", "named"),
    [
        (ProgramType.XDP, [], "CAP_BPF and CAP_NET_ADMIN"),
        (ProgramType.XDP, [Capability.BPF], "CAP_NET_ADMIN"),
        (ProgramType.KPROBE, [Capability.BPF], "CAP_PERFMON"),
        (ProgramType.SOCKET_FILTER, [Capability.NET_ADMIN], "CAP_BPF"),
    ],
)
def test_the_missing_capability_is_named(
    monkeypatch: pytest.MonkeyPatch, kind: ProgramType, given: list[Capability], named: str
) -> None:
    give(monkeypatch, *given)
    error = privilege_error(errno.EPERM, "BPF_PROG_LOAD", "program 'p'", capabilities_module.needed_for_program(kind))
    assert isinstance(error, MissingPrivilegeError)
    assert error.capability == named.split(" ", maxsplit=1)[0]
    assert f"program 'p': BPF_PROG_LOAD: Operation not permitted (EPERM). This process lacks {named}" in str(error)


def test_maps_of_the_network_need_more() -> None:
    assert capabilities_module.needed_for_map(MapType.SOCKMAP) == (Capability.BPF, Capability.NET_ADMIN)
    assert capabilities_module.needed_for_map(MapType.HASH) == (Capability.BPF,)


def test_sys_admin_stands_for_all_and_did_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, Capability.SYS_ADMIN)
    assert capabilities_module.missing([Capability.BPF, Capability.PERFMON]) == ()
    give(monkeypatch, Capability.BPF, Capability.PERFMON, release=(5, 7))
    assert capabilities_module.missing([Capability.BPF]) == (Capability.SYS_ADMIN,)


def test_with_every_capability_none_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, Capability.SYS_ADMIN)
    error = privilege_error(errno.EPERM, "BPF_MAP_CREATE", "map 'm'", [Capability.BPF], locks_memory=True)
    assert isinstance(error, MissingPrivilegeError)
    assert (error.capability, error.hint) == (None, None)
    assert not isinstance(privilege_error(errno.EINVAL, "BPF_MAP_CREATE", "map 'm'"), MissingPrivilegeError)


def test_an_old_kernel_may_mean_locked_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    give(monkeypatch, Capability.SYS_ADMIN, release=(5, 10))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, 65536))
    error = privilege_error(errno.EPERM, "BPF_MAP_CREATE", "map 'm'", [Capability.BPF], locks_memory=True)
    assert "RLIMIT_MEMLOCK, which is 65536 bytes" in str(error)


@pytest.mark.parametrize(
    ("release", "answer", "is_lifted"),
    [((5, 10), Unsupported("5.11"), True), ((5, 10), Inconclusive("EPERM"), True), ((5, 10), Supported(), False),
     ((5, 11), Unsupported("5.11"), False)],
)  # fmt: skip
def test_the_limit_is_lifted_only_where_it_counts(
    monkeypatch: pytest.MonkeyPatch, release: tuple[int, int], answer: features.Answer, is_lifted: bool
) -> None:
    import resource

    from aiobpf.kernel import memlock

    calls: list[tuple[int, int]] = []

    def setrlimit(_: int, limits: tuple[int, int]) -> None:
        calls.append(limits)
        if len(calls) == 1:
            raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(memlock, "kernel_release", lambda: release)
    monkeypatch.setattr(KernelFeatures, "probe", lambda *_: answer)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1, 9))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert raise_memlock_limit() is is_lifted
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert calls == ([infinite, (9, 9)] if is_lifted else [])


UNPRIVILEGED = """
import os
from aiobpf.errors import MissingPrivilegeError
from aiobpf.kernel import MapElements, Tracefs, create_map, load_program, kernel_features, Inconclusive, Feature
from aiobpf.kernel import tracefs, perf_events, map_by_id, raw_tracepoint_open
from aiobpf.uapi import MapType, ProgramType
os.setgid(65534); os.setuid(65534)
tracefs._mounted = lambda: []
def refused(call, *arguments):
    try:
        call(*arguments)
    except MissingPrivilegeError as error:
        print(error.capability, error)
    else:
        print("it worked")
refused(create_map, MapType.LRU_HASH, 4, 8, 1)
refused(load_program, ProgramType.KPROBE, bytes(16))
refused(map_by_id, 1)
refused(perf_events.open_tracepoint, 1)
refused(Tracefs.open)
print(isinstance(kernel_features().probe(Feature.GLOBAL_DATA), Inconclusive))
from aiobpf.asm import Helper
from aiobpf.kernel.features import HelperCall, KfuncCall
for question in (Helper.LOOP, HelperCall(Helper.LOOP, ProgramType.KPROBE), KfuncCall("bpf_cast_to_kern_ctx")):
    print(type(kernel_features().probe(question)).__name__)
"""


@pytest.mark.root
def test_an_ordinary_user_is_told_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNPRIVILEGED], capture_output=True, text=True, check=False
    )
    if "ModuleNotFoundError" in done.stderr or "PermissionError" in done.stderr:
        pytest.skip("the package cannot be read by an ordinary user here")
    lines = done.stdout.splitlines()
    assert len(lines) == 9, done.stderr
    assert lines[0].startswith("CAP_BPF map of type LRU_HASH: BPF_MAP_CREATE")
    assert "lacks CAP_BPF and CAP_PERFMON" in lines[1]
    assert lines[2].startswith("CAP_SYS_ADMIN map 1: BPF_MAP_GET_FD_BY_ID")
    assert lines[3].startswith("CAP_PERFMON tracepoint: perf_event_open")
    assert "mount -t tracefs" in lines[4]
    assert lines[5] == "True"
    assert lines[6:] == ["Inconclusive"] * 3


@pytest.mark.root
@pytest.mark.everywhere
async def test_the_public_probe_answers_in_classes() -> None:
    import aiobpf

    assert isinstance(await aiobpf.features.probe(MapType.HASH), Supported)
    assert isinstance(await aiobpf.features.probe(ProgramType.XDP), Supported)
    assert isinstance(await aiobpf.features.probe(Feature.BTF), Supported)
    assert isinstance(await aiobpf.features.probe(AttachType.XDP), Supported)
    with pytest.raises(SpecError, match=r"there is no probe for <LinkType\.UNSPEC"):
        await aiobpf.features.probe(LinkType.UNSPEC)
    with pytest.raises(SpecError, match="there is no probe for 'arenas'"):
        await aiobpf.features.probe("arenas")  # type: ignore[arg-type]
