"""Objects of ours and of others against seven kernels, 5.10 to 7.3: what is known of them comes out.

What is needed of the kernels' BTFs is in ``kernels/``; $AIOBPF_KERNEL_BTFS may name a folder of the whole ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from aiobpf import asm
from aiobpf.asm import Instructions
from aiobpf.compatibility import Need, Status, TargetKernel, Verdict, check
from aiobpf.spec import CollectionSpec, MapSpec, ProgramSpec
from aiobpf.uapi import MapType, ProgramType
from tests.elf.conftest import embedded_object

from .conftest import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    Find = Callable[..., TargetKernel]

VERSIONS = ("5.10", "6.1", "6.12", "6.18", "7.3")


def tool(name: str) -> bytes:
    path = Path("/usr/sbin") / name
    if not path.exists():
        pytest.skip(f"{path} is not installed (Debian: libbpf-tools)")
    return embedded_object(path)


def verdicts(source: bytes | Path, real_kernel: Find) -> dict[str, Verdict]:
    return {version: check(source, real_kernel(version)).verdict for version in VERSIONS}


def missing(source: bytes | Path, kernel: TargetKernel) -> set[str]:
    (report,) = check(source, kernel).kernels
    return {finding.subject for finding in report.findings if finding.verdict is Verdict.REFUSED}


def test_a_field_that_moved_away_refuses_a_tool_that_does_not_ask(real_kernel: Find) -> None:
    loads, refused = Verdict.LOADS, Verdict.REFUSED
    # cfs_rq.nr_running is nr_queued since 6.14 (736c55a02c47); runqlen of that package knows the old name only.
    assert verdicts(tool("runqlen"), real_kernel) == {
        "5.10": loads, "6.1": loads, "6.12": loads, "6.18": refused, "7.3": refused,
    }  # fmt: skip
    assert missing(tool("runqlen"), real_kernel("6.18")) == {"field struct cfs_rq.nr_running"}
    # The bits of inet_sock became flags in 6.6 (c274af224269).
    assert missing(tool("bindsnoop"), real_kernel("6.1")) == set()
    assert missing(tool("bindsnoop"), real_kernel("6.12")) == {
        "field struct inet_sock.freebind", "field struct inet_sock.transparent",
        "field struct inet_sock.bind_address_no_port",
    }  # fmt: skip


def test_a_field_that_was_renamed_is_guarded_in_a_tool_that_asks(real_kernel: Find) -> None:
    # task_struct.state is __state since 5.14 (2f064a59a11f).
    source = tool("offcputime")
    for version, absent in (("5.10", "task_struct___x.__state"), ("6.1", "task_struct___o.state")):
        (report,) = check(source, real_kernel(version)).kernels
        assert report.verdict is Verdict.LOADS
        guarded = {finding.subject for finding in report.findings if finding.status is Status.GUARDED}
        assert guarded == {f"field struct {absent}"}


def test_types_and_helpers_are_as_old_as_they_are(real_kernel: Find) -> None:
    assert missing(OBJECTS / "map_kinds.bpf.o", real_kernel("5.10")) == {"BLOOM_FILTER"}  # 5.16
    assert missing(OBJECTS / "subprograms.bpf.o", real_kernel("5.10")) == {
        "bpf_for_each_map_elem#164", "bpf_loop#181", "a function's address (a callback)",  # 5.13, 5.17, 5.13
    }  # fmt: skip
    assert missing(OBJECTS / "local_scope.bpf.o", real_kernel("6.1")) == {"ARENA"}  # 6.9
    for name in ("map_kinds", "subprograms", "local_scope"):
        assert check(OBJECTS / f"{name}.bpf.o", real_kernel("6.12")).verdict is Verdict.LOADS


def test_instructions_are_as_old_as_they_are(real_kernel: Find) -> None:
    newer = {
        "an atomic operation other than adding without a result": asm.atomic_add(8, asm.R10, asm.R1, -8, fetch=True),
        "a function's address (a callback)": asm.load_function(asm.R2, "it"),
        "a sign-extending load": asm.ldxsx(4, asm.R0, asm.R10, -8),
        "a signed division": asm.sdiv(asm.R0, asm.R1),
        "may_goto (cond_break, can_loop)": asm.may_goto(0),
        "a load-acquire or store-release": asm.load_acquire(8, asm.R0, asm.R10, -8),
    }
    code = Instructions([asm.mov(asm.R0, 0).with_symbol("it"), *newer.values(), asm.mov(asm.R0, 0), asm.exit_()])
    spec = ProgramSpec(name="it", type=ProgramType.SOCKET_FILTER, instructions=code, section="socket")

    def lacking(version: str, *words: str) -> set[str]:
        kernel = real_kernel(version, *words)
        ordered = attrs.evolve(spec, byte_order=kernel.btf.byte_order)
        source = CollectionSpec(programs={"it": ordered}, byte_order=kernel.btf.byte_order)
        (report,) = check(source, kernel).kernels
        return {each.subject for each in report.findings if each.status is Status.MISSING}

    names = list(newer)
    assert lacking("5.10") == set(names)
    assert lacking("6.1") == set(names[2:])
    assert lacking("6.12") == lacking("6.12", "s390x") == lacking("6.12", "arm64") == set(names[5:])
    assert lacking("6.18") == lacking("7.3") == set()


def test_map_types_that_an_option_builds_in_are_there(real_kernel: Find) -> None:
    built_in = (MapType.SOCKMAP, MapType.SOCKHASH, MapType.STACK_TRACE, MapType.XSKMAP)
    maps = {each.name: MapSpec(name=each.name, type=each) for each in built_in}
    for version in VERSIONS:
        assert check(CollectionSpec(maps=maps), real_kernel(version)).verdict is Verdict.LOADS


def test_kernel_functions_are_as_old_as_they_are(real_kernel: Find) -> None:
    def status(version: str) -> Status:
        (report,) = check(OBJECTS / "externs.bpf.o", real_kernel(version), programs=["functions"]).kernels
        return next(finding.status for finding in report.findings if finding.subject == "bpf_task_from_pid")

    assert [status(version) for version in VERSIONS] == [
        Status.MISSING,  # no kernel functions before 5.13
        Status.UNKNOWN,  # since 6.2; a module might have it
        Status.RESOLVED, Status.RESOLVED, Status.RESOLVED,
    ]  # fmt: skip


def test_other_machines_kernels_are_targets_for_objects_of_their_byte_order(real_kernel: Find) -> None:
    arm, s390 = real_kernel("6.12", "arm64"), real_kernel("6.12", "s390x")
    assert check(OBJECTS / "core.bpf.o", arm).verdict is Verdict.LOADS
    assert check(OBJECTS / "core.eb.bpf.o", s390).verdict is Verdict.LOADS
    assert check(OBJECTS / "core.eb.bpf.o", arm).verdict is Verdict.REFUSED
    assert check(OBJECTS / "core.bpf.o", s390).verdict is Verdict.REFUSED
    offsets = {
        kernel.name: {
            finding.subject: finding.answer
            for finding in check(source, kernel).kernels[0].findings
            if finding.need is Need.RELOCATION and finding.question == "offset"
        }
        for kernel, source in ((arm, OBJECTS / "core.bpf.o"), (s390, OBJECTS / "core.eb.bpf.o"))
    }
    assert offsets[arm.name].keys() == offsets[s390.name].keys()
    assert offsets[arm.name] != offsets[s390.name]


def test_a_kernel_without_lsm_and_struct_ops_says_so(real_kernel: Find) -> None:
    s390 = real_kernel("6.12", "s390x")
    assert s390.program_types is not None
    assert {"LSM", "STRUCT_OPS"}.isdisjoint(s390.program_types)
    everywhere = real_kernel("6.12")
    assert everywhere.program_types is not None
    assert {"LSM", "STRUCT_OPS"} <= everywhere.program_types


@pytest.mark.parametrize("version", VERSIONS)
def test_guards_hold_on_every_kernel(version: str, real_kernel: Find) -> None:
    kernel = real_kernel(version)
    older = version == "5.10"
    (report,) = check(OBJECTS / "guards.bpf.o", kernel).kernels
    refused = {name for name, verdict in report.programs.items() if verdict is Verdict.REFUSED}
    assert refused == ({"by_kfunc"} if older else set())  # no programs of type SYSCALL before 5.14
    unknown = {name for name, verdict in report.programs.items() if verdict is Verdict.UNKNOWN}
    assert unknown == {"by_option", "by_symbol"}  # the configuration and kallsyms were not given
