"""How often the verifier is asked, with how much room for its log, and what its refusals become."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from aiobpf import asm, kernel
from aiobpf.asm import R0, R1, Instructions
from aiobpf.elf import read_spec
from aiobpf.errors import (
    KernelError,
    MissingPrivilegeError,
    NotSupportedError,
    VerifierError,
    kernel_error,
)
from aiobpf.kernel import OwnedFd, features
from aiobpf.runtime import LoadOptions, LogPolicy
from aiobpf.runtime.program_load import load_alone
from aiobpf.runtime.submission import Submission
from aiobpf.spec import ProgramSpec
from aiobpf.uapi import AttachType, ProgramFlags, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = Path(__file__).parent.parent / "objects"
STATE = b"0: R1=scalar() R10=fp0\n"
REFUSAL = STATE + b"0: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\nprocessed 1 insns\n"
CODE = Instructions([asm.mov(R0, 0), asm.exit_()])
SPEC = ProgramSpec(name="p", type=ProgramType.XDP, instructions=CODE, license="GPL")


class Kernel:
    """Answers BPF_PROG_LOAD with *answer*, which gets the log's size (0 without) and gives an errno and log text."""

    def __init__(self, answer: Callable[[int], tuple[int, bytes, int]]) -> None:
        self.answer = answer
        self.sizes: list[int] = []
        self.options: list[dict[str, Any]] = []

    def load_program(self, type_: int, code: bytes, license_: str = "", **options: Any) -> OwnedFd:
        log: bytearray | None = options.get("log")
        self.sizes.append(len(log or b""))
        self.options.append(options)
        error, text, needed = self.answer(len(log or b""))
        if log is not None:
            cut = text[: len(log) - 1]
            log[: len(cut)] = cut
        if error == errno.ENOSPC and log is not None:
            small = kernel.LogTooSmallError(error, "BPF_PROG_LOAD", "program 'p'")
            small.needed = needed
            raise small
        if error:
            raise kernel_error(error, "BPF_PROG_LOAD", "program 'p'")
        return OwnedFd()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kernel]:
    def install(answer: Callable[[int], tuple[int, bytes, int]]) -> Kernel:
        made = Kernel(answer)
        monkeypatch.setattr(kernel, "load_program", made.load_program)
        monkeypatch.setattr(features, "supports_program_type", lambda _: True)
        return made

    return install


def submission(policy: LogPolicy | None = None, spec: ProgramSpec = SPEC, **changes: Any) -> Submission:
    return Submission(spec, spec.instructions, spec.instructions.encode(), policy or LogPolicy(), **changes)


def test_a_program_that_loads_is_loaded_once_and_quietly(fake: Callable[..., Kernel]) -> None:
    verifier = fake(lambda _: (0, b"", 0))
    assert submission().load()[1] == ""
    assert verifier.sizes == [0]


def test_a_refused_one_is_asked_about_once_more(fake: Callable[..., Kernel]) -> None:
    verifier = fake(lambda _: (errno.EACCES, REFUSAL, 0))
    with pytest.raises(VerifierError, match="R1 invalid mem access 'scalar' at instruction 0"):
        submission().load()
    assert verifier.sizes == [0, 1 << 16]


@pytest.mark.parametrize("error", [errno.E2BIG, errno.EPERM, errno.EFAULT, errno.ENOSPC])
def test_every_errno_of_the_verifier_keeps_its_log(fake: Callable[..., Kernel], error: int) -> None:
    fake(lambda size: (error if not size or error != errno.ENOSPC else errno.EINVAL, REFUSAL, 0))
    with pytest.raises(VerifierError) as caught:
        submission().load()
    assert caught.value.log == REFUSAL.decode()


@pytest.mark.parametrize("error", [errno.ENOMEM, errno.EMFILE])
def test_where_no_log_can_help_none_is_asked_for(fake: Callable[..., Kernel], error: int) -> None:
    verifier = fake(lambda _: (error, b"", 0))
    with pytest.raises(KernelError) as caught:
        submission().load()
    assert caught.value.errno == error
    assert verifier.sizes == [0]


def test_the_log_takes_the_room_that_the_kernel_says(fake: Callable[..., Kernel]) -> None:
    long = STATE + b"1: (95) exit\n" * 80_000 + REFUSAL
    verifier = fake(lambda size: (errno.ENOSPC if 0 < size < len(long) else errno.EACCES, long, len(long) + 1))
    with pytest.raises(VerifierError) as caught:
        submission().load()
    assert len(caught.value.log) == len(long)
    assert verifier.sizes == [0, 1 << 16, len(long) + 1 + 4096]


@pytest.mark.parametrize("full", [errno.ENOSPC, errno.EFAULT])
def test_an_older_kernel_s_log_grows_by_steps(fake: Callable[..., Kernel], full: int) -> None:
    long = STATE + b"1: (95) exit\n" * 100_000 + REFUSAL
    verifier = fake(lambda size: (full if 0 < size < len(long) else errno.EACCES, long, 0))
    with pytest.raises(VerifierError, match="invalid mem access") as caught:
        submission().load()
    assert caught.value.errno == errno.EACCES
    assert verifier.sizes == [0, 1 << 16, 1 << 18, 1 << 20, 1 << 22]


def test_a_log_without_end_stops_at_the_policy_s_size(fake: Callable[..., Kernel]) -> None:
    verifier = fake(lambda size: (errno.ENOSPC if size else errno.E2BIG, STATE + b"1: (95) exit\n" * 100_000, 0))
    with pytest.raises(VerifierError, match="too long to hold the reason") as caught:
        submission(LogPolicy(max_size=1 << 18)).load()
    assert caught.value.errno == errno.E2BIG, "the first try's: ENOSPC is about the log alone"
    assert "max_size" in str(caught.value)
    assert verifier.sizes == [0, 1 << 16, 1 << 18]


def test_the_end_of_a_log_is_enough_for_the_reason(fake: Callable[..., Kernel]) -> None:
    fake(lambda size: (errno.ENOSPC if size else errno.EACCES, b"it) r0\n" + REFUSAL, 1 << 30))
    with pytest.raises(VerifierError, match="invalid mem access"):
        submission(LogPolicy(max_size=1 << 16)).load()


def test_a_kernel_that_takes_no_log_so_large_is_asked_no_further(fake: Callable[..., Kernel]) -> None:
    def answer(size: int) -> tuple[int, bytes, int]:
        if size > 1 << 24:
            return errno.EINVAL, b"", 0
        return (errno.ENOSPC if size else errno.EACCES), STATE + b"1: (95) exit\n" * (size // 13 + 1), 0

    verifier = fake(answer)
    with pytest.raises(VerifierError) as caught:
        submission(LogPolicy(max_size=1 << 28)).load()
    assert caught.value.errno == errno.EACCES
    assert len(caught.value.log) == (1 << 24) - 1
    assert verifier.sizes[-1] == 1 << 26


def test_a_log_that_is_always_wanted_costs_one_call(fake: Callable[..., Kernel]) -> None:
    verifier = fake(lambda _: (0, b"processed 2 insns\n", 0))
    assert submission(LogPolicy(always=True)).load()[1] == "processed 2 insns\n"
    assert verifier.sizes == [1 << 16]
    assert verifier.options[0]["log_level"] == 1


def test_a_log_that_does_not_fit_keeps_no_program_from_loading(fake: Callable[..., Kernel]) -> None:
    verifier = fake(lambda size: (errno.ENOSPC if size else 0, b"1: (95) exit\n" * 100_000, 0))
    fd, log = submission(LogPolicy(always=True, max_size=1 << 17)).load()
    assert isinstance(fd, OwnedFd)
    assert len(log) == (1 << 17) - 1
    assert verifier.sizes == [1 << 16, 1 << 17, 0]


def test_a_kernel_whose_level_1_shows_no_registers_is_asked_at_level_2(fake: Callable[..., Kernel]) -> None:
    bare = REFUSAL.removeprefix(STATE)

    def answer(size: int) -> tuple[int, bytes, int]:
        return errno.EACCES, REFUSAL if verifier.options[-1]["log_level"] == 2 else bare, 0

    verifier = fake(answer)
    with pytest.raises(VerifierError, match="R1 is a number of which nothing is known") as caught:
        submission().load()
    assert [options["log_level"] for options in verifier.options] == [0, 1, 2]
    assert caught.value.registers["R1"].is_scalar
    with pytest.raises(VerifierError):
        submission(LogPolicy(level=2)).load()
    assert len(verifier.options) == 5, "who asks for a level gets it, once"


def test_a_log_of_level_2_that_does_not_fit_leaves_that_of_level_1(fake: Callable[..., Kernel]) -> None:
    bare = REFUSAL.removeprefix(STATE)

    def answer(size: int) -> tuple[int, bytes, int]:
        if verifier.options[-1]["log_level"] == 2:
            return errno.ENOSPC, STATE + b"1: (95) exit\n" * 100_000, 0
        return errno.EACCES, bare, 0

    verifier = fake(answer)
    with pytest.raises(VerifierError, match="R1 invalid mem access 'scalar'") as caught:
        submission(LogPolicy(max_size=1 << 17)).load()
    assert caught.value.log == bare.decode()


def test_privileges_are_named_where_nothing_was_logged(fake: Callable[..., Kernel]) -> None:
    fake(lambda _: (errno.EPERM, b"", 0))
    with pytest.raises(MissingPrivilegeError):
        submission().load()


def test_what_the_kernel_does_not_know_is_named(fake: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch) -> None:
    fake(lambda _: (errno.EINVAL, b"", 0))
    with pytest.raises(NotSupportedError, match=r"fragments .* needs Linux 5\.18"):
        submission(spec=attrs.evolve(SPEC, flags=ProgramFlags.XDP_HAS_FRAGS)).load()
    with pytest.raises(KernelError, match="may be older than CGROUP_UNIX_CONNECT or SLEEPABLE"):
        submission(
            spec=attrs.evolve(SPEC, attach_type=AttachType.CGROUP_UNIX_CONNECT, flags=ProgramFlags.SLEEPABLE)
        ).load()
    monkeypatch.setattr(features, "supports_program_type", lambda _: False)
    with pytest.raises(NotSupportedError, match="program type XDP"):
        submission().load()


def test_too_many_instructions_are_counted(fake: Callable[..., Kernel]) -> None:
    fake(lambda _: (errno.E2BIG, b"", 0))
    with pytest.raises(KernelError, match="2 instructions; without CAP_BPF 4096"):
        submission().load()
    with pytest.raises(KernelError, match="1000001 instructions"):
        attrs.evolve(submission(), code=bytes(8_000_008)).load()
    with pytest.raises(NotSupportedError, match=r"modules .* needs Linux 5\.16"):
        submission(fd_array=(0, 5)).load()


def test_records_go_only_with_the_btf_that_they_refer_to(fake: Callable[..., Kernel]) -> None:
    verifier = fake(lambda _: (0, b"", 0))
    submission(func_info=bytes(8), line_info=bytes(16)).load()
    assert (verifier.options[0]["func_info"], verifier.options[0]["line_info"]) == (b"", b"")


def test_the_interface_and_the_flags_reach_the_kernel(fake: Callable[..., Kernel]) -> None:
    verifier = fake(lambda _: (0, b"", 0))
    spec = attrs.evolve(SPEC, ifindex=3, flags=ProgramFlags.SLEEPABLE, kernel_version=5, attach_type=AttachType.XDP)
    submission(spec=spec).load()
    sent = verifier.options[0]
    assert (sent["ifindex"], sent["flags"], sent["kernel_version"]) == (3, ProgramFlags.SLEEPABLE, 5)
    assert sent["expected_attach_type"] == AttachType.XDP


@pytest.mark.root
def test_a_kernel_without_btf_loads_the_same_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "supports_btf", lambda _: False)
    program = load_alone(read_spec(OBJECTS / "subprograms.bpf.o").programs["first"], LoadOptions())
    assert kernel.program_info(program).btf_id == 0
    program.close()


@pytest.mark.root
def test_btf_that_the_kernel_refuses_is_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    load = kernel.load_btf
    # A name that is none: the kernel takes letters, digits and underscores.
    monkeypatch.setattr(
        kernel, "load_btf", lambda data, **options: load(data.replace(b"\0leaf\0", b"\0le/f\0"), **options)
    )
    with pytest.warns(RuntimeWarning, match="Invalid name"):
        program = load_alone(read_spec(OBJECTS / "subprograms.bpf.o").programs["first"], LoadOptions())
    assert kernel.program_info(program).btf_id == 0
    program.close()


@pytest.mark.root
def test_a_program_of_a_million_steps_says_so() -> None:
    loop = [asm.mov(R0, 0), asm.add(R0, 1).with_label("again"), asm.jlt(R0, 5_000_000, "again"), asm.exit_()]
    spec = ProgramSpec(name="loop", type=ProgramType.SOCKET_FILTER, license="GPL", instructions=Instructions(loop))
    with pytest.raises(VerifierError, match="BPF program is too large") as caught:
        load_alone(spec, LoadOptions(log=LogPolicy(level=4)))
    assert caught.value.errno == errno.E2BIG
    assert "split the program" in str(caught.value)


@pytest.mark.root
def test_a_log_of_megabytes_comes_whole() -> None:
    code = [*[asm.mov(R0, i) for i in range(40_000)], asm.ldx(8, R0, R1, 4096), asm.exit_()]
    spec = ProgramSpec(name="long", type=ProgramType.SOCKET_FILTER, license="GPL", instructions=Instructions(code))
    with pytest.raises(VerifierError) as caught:
        load_alone(spec, LoadOptions(log=LogPolicy(level=2)))
    assert caught.value.instruction == 40_000
    assert len(caught.value.log) > 1 << 20
    assert caught.value.log.startswith(("func#0", "0: "))
