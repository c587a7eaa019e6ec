"""What a load goes without on a kernel that lacks it, each with the probe that says so turned off.

Kernels before 5.10 cannot be run here, so what those refuse is a fake's answer; where the present kernel takes the
older form too, it is loaded for real and its effect seen. The probes themselves are asked on each kernel in
tests/kernel/test_feature_matrix.py.
"""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aiobpf
from aiobpf import asm, kernel
from aiobpf.asm import R0, R1, R2, R10, Instructions
from aiobpf.btf import Btf, BtfFeature, Function, Pointer
from aiobpf.errors import KernelError, NotSupportedError, VerifierError, kernel_error
from aiobpf.kernel import Feature, OwnedFd, features
from aiobpf.runtime import LoadOptions, Program
from aiobpf.runtime.load_context import LoadContext
from aiobpf.runtime.map_create import create_map
from aiobpf.runtime.newer_instructions import newer_instruction
from aiobpf.runtime.program_load import load_alone
from aiobpf.spec import MapSpec, ProgramSpec
from aiobpf.uapi import AttachType, MapFlags, MapType, ProgramType
from tests.kernel_features import FEATURES, kernel_has

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)
RETURN_0 = (asm.mov(R0, 0), asm.exit_())


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``without(Feature.X, ...)``: the kernel is taken for one that lacks these."""

    def take_away(*missing: Feature) -> None:
        really = features.may_support
        monkeypatch.setattr(
            features, "may_support", lambda feature, token=None: feature not in missing and really(feature, token)
        )

    return take_away


class OldKernel:
    """Takes programs and maps only without what it does not know: *refuses* says which call has that."""

    def __init__(self, refuses: Callable[[dict[str, Any]], bool], number: int) -> None:
        self.refuses = refuses
        self.number = number
        self.calls: list[dict[str, Any]] = []

    def _answer(self, what: str, options: dict[str, Any]) -> OwnedFd:
        self.calls.append(options)
        if self.refuses(options):
            raise kernel_error(self.number, what, options["subject"])
        return OwnedFd()

    def load_program(self, *_: object, **options: Any) -> OwnedFd:
        return self._answer("BPF_PROG_LOAD", options)

    def create_map(self, *_: object, **options: Any) -> OwnedFd:
        return self._answer("BPF_MAP_CREATE", options)


@pytest.fixture
def old_kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., OldKernel]:
    def install(refuses: Callable[[dict[str, Any]], bool], number: int = errno.E2BIG) -> OldKernel:
        made = OldKernel(refuses, number)
        monkeypatch.setattr(kernel, "load_program", made.load_program)
        monkeypatch.setattr(kernel, "create_map", made.create_map)
        return made

    return install


def program(*instructions: asm.Instruction, **more: Any) -> ProgramSpec:
    code = Instructions(instructions or RETURN_0)
    return ProgramSpec(name="p", **{"type": ProgramType.XDP, "license": "GPL", "instructions": code, **more})


# --- names, attach types, memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.E2BIG, errno.EINVAL])
def test_a_program_goes_without_its_name_before_4_15(
    old_kernel: Callable[..., OldKernel], without: Callable[..., None], number: int
) -> None:
    verifier = old_kernel(lambda options: bool(options["name"]), number)
    without(Feature.OBJECT_NAMES)
    load_alone(program(), LoadOptions()).close()
    assert [call["name"] for call in verifier.calls] == ["p", ""]
    assert verifier.calls[-1]["subject"] == "program 'p'", "errors name it all the same"


def test_a_map_goes_without_its_name_before_4_15(
    old_kernel: Callable[..., OldKernel], without: Callable[..., None]
) -> None:
    maker = old_kernel(lambda options: bool(options["name"]))
    without(Feature.OBJECT_NAMES)
    made = create_map(MapSpec(name="counts", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1))
    assert [call["name"] for call in maker.calls] == ["counts", ""]
    assert made.name == "counts"


def test_a_program_goes_without_its_attach_type_before_4_17(
    old_kernel: Callable[..., OldKernel], without: Callable[..., None]
) -> None:
    verifier = old_kernel(lambda options: bool(options["expected_attach_type"]))
    without(Feature.EXPECTED_ATTACH_TYPE)
    load_alone(program(attach_type=AttachType.XDP), LoadOptions()).close()
    assert [call["expected_attach_type"] for call in verifier.calls] == [AttachType.XDP, 0]


def test_a_kprobe_program_is_for_the_running_version_before_5_0(
    old_kernel: Callable[..., OldKernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = 4 << 16 | 19 << 8 | 7
    monkeypatch.setattr(kernel, "kernel_release", lambda: (4, 19))
    monkeypatch.setattr(kernel, "kernel_version_code", lambda: code)
    verifier = old_kernel(lambda options: options["kernel_version"] != code, errno.EINVAL)
    load_alone(program(type=ProgramType.KPROBE), LoadOptions()).close()
    assert [call["kernel_version"] for call in verifier.calls] == [0, code]
    with pytest.raises(KernelError):
        load_alone(program(), LoadOptions())


def test_where_nothing_is_missing_nothing_is_taken_away(old_kernel: Callable[..., OldKernel]) -> None:
    verifier = old_kernel(lambda _: True, errno.EINVAL)
    with pytest.raises(KernelError, match="program 'p'"):
        load_alone(program(attach_type=AttachType.XDP), LoadOptions())
    assert all(call["name"] and call["expected_attach_type"] for call in verifier.calls)
    assert len(verifier.calls) == 2, "quietly, then for the log"


@pytest.mark.root
@pytest.mark.asyncio
async def test_variables_are_in_their_map_but_not_live_before_5_5(
    monkeypatch: pytest.MonkeyPatch, without: Callable[..., None]
) -> None:
    create = kernel.create_map

    def refuse(*arguments: Any, flags: int = 0, **options: Any) -> OwnedFd:
        if flags & MapFlags.MMAPABLE:
            raise kernel_error(errno.EINVAL, "BPF_MAP_CREATE", options["subject"])
        return create(*arguments, flags=flags, **options)

    monkeypatch.setattr(kernel, "create_map", refuse)
    without(Feature.MMAPABLE_ARRAY)
    async with aiobpf.load(OBJECTS / "globals.bpf.o") as coll:
        with pytest.raises(NotSupportedError, match=r"live variables \(section '\.data'\) needs Linux 5\.5") as caught:
            _ = coll.variables["enabled"].value
        assert caught.value.since == "5.5"
        await coll.programs["count"].run(PACKET)
        (data,) = coll.maps[".bss.late"].values()
        assert data.late == 1, "the program has run on them"
        assert not coll.maps[".bss"].flags & MapFlags.MMAPABLE


def test_a_token_needs_6_9(without: Callable[..., None]) -> None:
    without(Feature.TOKEN)
    with pytest.raises(NotSupportedError, match=r"A BPF token needs Linux 6\.9"):
        load_alone(program(), LoadOptions(token=5))


# --- helpers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("probe_read_kernel", "probe_read"),
        ("probe_read_kernel_str", "probe_read_str"),
        ("probe_read_user", "probe_read"),
        ("probe_read_user_str", "probe_read_str"),
    ],
)
def test_reads_of_one_kind_of_memory_become_reads_of_either_before_5_5(
    monkeypatch: pytest.MonkeyPatch, newer: str, older: str
) -> None:
    code = Instructions([asm.call_helper(newer), asm.call_helper("ktime_get_ns"), *RETURN_0])
    context = LoadContext(LoadOptions(), None)
    monkeypatch.setattr(features, "supports_probe_read_kernel", lambda: True)
    context.replace_missing_helpers(code)
    assert code[0].constant == asm.Helper[newer.upper()]
    monkeypatch.setattr(features, "supports_probe_read_kernel", lambda: False)
    context.replace_missing_helpers(code)
    assert [each.constant for each in code[:2]] == [asm.Helper[older.upper()], asm.Helper.KTIME_GET_NS]


# --- BTF --------------------------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.asyncio
@pytest.mark.parametrize("oldest", BtfFeature, ids=lambda feature: feature.name)
async def test_an_object_runs_the_same_on_a_kernel_without_its_kinds_of_types(
    monkeypatch: pytest.MonkeyPatch, oldest: BtfFeature
) -> None:
    """What stands for a kind of type is something that this kernel takes as well: a refusal would warn, and fail."""
    age = list(BtfFeature)  # in the order of kernels: one that lacks *oldest* lacks all that came later
    lacked = {*age[age.index(oldest) :], *features.missing_btf_features()}
    monkeypatch.setattr(features, "missing_btf_features", lambda _token=None: frozenset(lacked))
    async with aiobpf.load(OBJECTS / "newer_types.bpf.o") as coll:
        variables, table = coll.variables, coll.maps["table"]
        assert (variables["ratio"].value, variables["below"].value, variables["wide"].value) == (0.5, -1, 1 << 40)
        assert (variables["bits"].value.low, variables["bits"].value.high) == (5, -2)
        table[1] = {"low": 7, "high": -16, "ratio": 0.25, "wide": 1}
        assert (await coll.programs["use"].run(PACKET)).retval == 2 + 1 + 1
        assert (table[1].high, table[1].ratio, table[1].wide) == (-16, 0.25, 1 << 40)
        assert variables["counted"].value == 1
        info = kernel.program_info(coll.programs["use"], instructions=True)
        assert kernel.map_info(table).btf_id != 0
    has_functions = BtfFeature.FUNC not in lacked
    assert (bool(info.func_info), bool(info.line_info)) == (has_functions, has_functions)


@pytest.mark.root
@pytest.mark.asyncio
async def test_an_object_runs_without_types_and_lines_before_4_18(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "supports_btf", lambda _token=None: False)
    async with aiobpf.load(OBJECTS / "globals.bpf.o") as coll:
        await coll.programs["count"].run(PACKET)
        assert coll.variables["zero"].value == 0x1001, "this side has the types"
        info = kernel.program_info(coll.programs["count"], instructions=True)
        assert (info.btf_id, bytes(info.func_info), bytes(info.line_info)) == (0, b"", b"")
        assert kernel.map_info(coll.maps[".data"]).btf_id == 0


# --- the context of global functions ----------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.asyncio
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_tagged_context_is_one_before_6_8_too(without: Callable[..., None], is_known: bool) -> None:
    if not is_known:
        without(Feature.ARG_CTX_TAG)
    spec = aiobpf.read_spec(OBJECTS / "context_argument.bpf.o")
    before = spec.copy()
    async with aiobpf.load(spec) as coll:
        assert (await coll.programs["of_packet"].run(PACKET)).retval in {len(PACKET) + 1, len(PACKET) - 14 + 1}
        context = struct.pack("=IIQ", 40, 0, 0)
        assert (await coll.programs["of_tracepoint"].run(context=context)).retval == 42
        types = {name: context_type(loaded) for name, loaded in coll.programs.items()}
    if is_known and kernel_has("arg:ctx tags"):
        assert types == dict.fromkeys(types, "void")
    else:
        assert types == {
            "of_packet": "__sk_buff",
            "of_tracepoint": "bpf_raw_tracepoint_args",
            "of_function": "bpf_user_pt_regs_t",
        }
    assert spec == before


def context_type(loaded: Program) -> str:
    """The name of what the second parameter of first_word points to, in the BTF that the kernel has of the program."""
    info = kernel.program_info(loaded, instructions=True)
    with kernel.btf_by_id(info.btf_id) as fd:
        types = Btf.from_bytes(kernel.btf_info(fd, data=True).data)
    _, type_id = struct.unpack_from("=II", info.func_info, 8)
    function = types.type_by_id(type_id)
    assert isinstance(function, Function)
    _, context = function.parameters
    assert isinstance(context.type, Pointer)
    return context.type.target.name


# --- instructions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "feature", "words"),
    [
        (asm.atomic_add(8, R10, R1, -8, fetch=True), Feature.ATOMICS, "atomic operation"),
        (asm.atomic_xor(8, R10, R1, -8), Feature.ATOMICS, "atomic operation"),
        (asm.load_function(R2, "callback"), Feature.FUNCTION_POINTERS, "callback"),
        (asm.movsx(R0, R0, 8), Feature.ISA_V4, "sign-extending move"),
        (asm.ldxsx(4, R0, R10, -8), Feature.ISA_V4, "sign-extending load"),
        (asm.sdiv(R0, R1), Feature.ISA_V4, "signed division"),
        (asm.bswap(R0, 32), Feature.ISA_V4, "byte swap"),
        (asm.gotol("end"), Feature.ISA_V4, "gotol"),
        (asm.may_goto("end"), Feature.MAY_GOTO, "may_goto"),
        (asm.load_acquire(8, R0, R10, -8), Feature.LOAD_ACQUIRE, "load-acquire"),
    ],
    ids=str,
)
def test_an_instruction_that_the_kernel_is_too_old_for_is_named_with_its_kernel(
    without: Callable[..., None], instruction: asm.Instruction, feature: Feature, words: str
) -> None:
    code = Instructions(
        [asm.mov(R0, 0), instruction, asm.mov(R0, 0).with_symbol("end"), asm.exit_(), asm.mov(R0, 0), asm.exit_()]
    )
    without(feature)
    refusal = newer_instruction(code, "p", None)
    assert refusal is not None
    assert refusal.since == feature.since
    assert str(refusal).startswith("program 'p': ")
    assert words in str(refusal)
    assert f"at instruction 1, needs Linux {feature.since}" in str(refusal)


def test_adding_without_a_result_is_as_old_as_5_10(without: Callable[..., None]) -> None:
    without(*Feature)
    old = [asm.atomic_add(8, R10, R1, -8), asm.mov(R0, R1), asm.ld_imm64(R0, 1), asm.div(R0, 2), *RETURN_0]
    assert newer_instruction(Instructions(old), "p", None) is None


NEWER = {
    "atomics": (asm.st(8, R10, -8, 1), asm.mov(R1, 1), asm.atomic_add(8, R10, R1, -8, fetch=True)),
    "v4 instructions": (asm.mov(R0, 255), asm.movsx(R0, R0, 8)),
    "may_goto": (
        asm.may_goto("end").with_symbol("loop"),
        asm.ja("loop"),
        asm.mov(R0, 0).with_symbol("end"),
    ),
    "load-acquire": (asm.st(8, R10, -8, 1), asm.load_acquire(8, R1, R10, -8)),
}


@pytest.mark.root
@pytest.mark.asyncio
@pytest.mark.parametrize("feature", NEWER)
async def test_a_program_loads_or_says_which_kernel_has_its_instructions(feature: str) -> None:
    spec = program(*NEWER[feature], *RETURN_0, type=ProgramType.SOCKET_FILTER)
    if kernel_has(feature):
        async with Program.load(spec):
            return
    with pytest.raises(NotSupportedError, match=r"program 'p': .* needs Linux") as caught:
        await Program.load(spec)
    assert caught.value.since == ".".join(map(str, FEATURES[feature].since))


@pytest.mark.root
@pytest.mark.asyncio
async def test_a_program_that_is_wrong_is_told_so_on_every_kernel() -> None:
    spec = program(asm.mov(R0, R2), asm.exit_(), type=ProgramType.SOCKET_FILTER)
    with pytest.raises(VerifierError, match="R2 !read_ok"):
        await Program.load(spec)
