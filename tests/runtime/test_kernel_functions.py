"""What a program calls and reads of the kernel by name: found, compared with its declaration, poisoned where it is not.

A kernel of our own making stands in where the real one has no modules: BTF files in a folder, and descriptors that are
numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aiobpf
from aiobpf import asm
from aiobpf.asm import R0, Instructions, Key, Pseudo
from aiobpf.btf import (
    FUNCTION_INFO,
    LINE,
    Btf,
    BtfBuilder,
    Forward,
    Function,
    FunctionPrototype,
    Int,
    IntEncoding,
    Linkage,
    Parameter,
    Pointer,
    Struct,
    Variable,
)
from aiobpf.errors import IncompatibleTypeError, SpecError, UnresolvedSymbolError, VerifierError
from aiobpf.kernel.btf import KernelBtfCache
from aiobpf.runtime import LoadContext, LoadOptions, Program
from aiobpf.runtime.program_externs import POISONED_KFUNC, resolve_externs
from aiobpf.spec import EXTERN, Extern, ExternKind, ProgramSpec
from aiobpf.uapi import ProgramFlags, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiobpf.btf import Type

OBJECTS = Path(__file__).parent.parent / "objects"

INT = Int("int", 4, encoding=IntEncoding.SIGNED)
LONG = Int("long", 8, encoding=IntEncoding.SIGNED)
FIRST, SECOND = 100, 101  # the descriptors of the modules' BTF


def function(name: str, *parameters: Type, returns: Type = INT) -> Function:
    named = [Parameter(f"p{i}", type_) for i, type_ in enumerate(parameters)]
    return Function(name, FunctionPrototype(returns, named), Linkage.STATIC)


def encoded(types: Iterable[Type]) -> bytes:
    builder = BtfBuilder()
    for type_ in types:
        builder.add(type_)
    return builder.encode()


@pytest.fixture
def our_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LoadContext]:
    """Makes a load against a kernel that has these types, with modules of these."""

    def make(*types: Type, **modules: list[Type]) -> LoadContext:
        (tmp_path / "vmlinux").write_bytes(encoded(types))
        for name, content in modules.items():
            (tmp_path / name).write_bytes(encoded(content))
        numbers = {name: FIRST + i for i, name in enumerate(sorted(modules))}
        monkeypatch.setattr(KernelBtfCache, "module_fd", lambda _, name: numbers[name])
        # Whole ones: what is asked here does not depend on where a module's ids begin.
        opened = {name: Btf.from_file(tmp_path / name) for name in modules}
        monkeypatch.setattr(KernelBtfCache, "module", lambda _, name: opened[name])
        return LoadContext(LoadOptions(btf_cache=KernelBtfCache(tmp_path)), None)

    return make


def calls(*externs: Extern) -> Instructions:
    code = [asm.call_kfunc(0).with_metadata(EXTERN, extern) for extern in externs]
    return Instructions([*code, asm.exit_()])


def kfunc(type_: Function, *, is_weak: bool = False) -> Extern:
    return Extern(type_.name, ExternKind.KFUNC, is_weak, type_)


def resolved(code: Instructions, context: LoadContext) -> tuple[list[tuple[int, int]], list[int]]:
    """(offset, constant) of each call, and the descriptors."""
    fds: list[int] = []
    resolve_externs(code, context, fds, "x")
    return [(code.fields(i)[3], code.fields(i)[4]) for i in range(len(code) - 1)], fds


def test_functions_of_the_kernel_and_of_several_modules_are_called_in_one_program(
    our_kernel: Callable[..., LoadContext],
) -> None:
    context = our_kernel(function("plain"), a_mod=[function("of_a"), function("also_a")], b_mod=[function("of_b")])
    names = ["of_b", "plain", "of_a", "also_a", "of_b"]
    code = calls(*[kfunc(function(name)) for name in names])
    places, fds = resolved(code, context)
    assert fds == [0, SECOND, FIRST], "index 0 is vmlinux"
    assert [offset for offset, _ in places] == [1, 0, 2, 2, 1]
    for name, (offset, number) in zip(names, places, strict=True):
        btf = context.vmlinux if offset == 0 else context.cache.module("a_mod" if offset == 2 else "b_mod")
        assert btf.type_by_id(number).name == name


def test_modules_are_opened_only_for_what_the_kernel_lacks(
    our_kernel: Callable[..., LoadContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = our_kernel(function("plain"), a_mod=[function("of_a")])
    opened: list[KernelBtfCache] = []

    def module_names(self: KernelBtfCache) -> list[str]:
        opened.append(self)
        return []

    monkeypatch.setattr(KernelBtfCache, "module_names", module_names)
    resolved(calls(kfunc(function("plain"))), context)
    assert not opened
    resolved(calls(kfunc(function("of_a"), is_weak=True)), context)
    assert opened


def test_the_address_of_a_modules_function_or_variable_carries_its_descriptor(
    our_kernel: Callable[..., LoadContext],
) -> None:
    counter = Variable("counter", LONG, Linkage.GLOBAL)
    context = our_kernel(function("plain"), a_mod=[function("of_a"), counter])
    here = kfunc(function("of_a"), is_weak=True)
    gone = kfunc(function("of_nobody"), is_weak=True)
    code = Instructions(
        [
            asm.ld_imm64(asm.R1, 0).with_metadata(EXTERN, here),
            asm.ld_imm64(asm.R2, 0).with_metadata(EXTERN, Extern("counter", ExternKind.KSYM, False, LONG)),
            asm.ld_imm64(asm.R3, 0).with_metadata(EXTERN, gone),
            asm.ld_imm64(asm.R4, 0).with_metadata(EXTERN, Extern("nothing", ExternKind.KSYM, True, LONG)),
            asm.exit_(),
        ]
    )
    resolve_externs(code, context, [], "x")
    module = context.cache.module("a_mod")
    fields = [code.fields(i) for i in range(4)]
    assert [each[2] for each in fields] == [Pseudo.BTF_ID, Pseudo.BTF_ID, 0, 0]
    assert [each[4] >> 32 for each in fields] == [FIRST, FIRST, 0, 0]
    assert module.type_by_id(fields[0][4] & 0xFFFF_FFFF).name == "of_a"
    assert module.type_by_id(fields[1][4] & 0xFFFF_FFFF).name == "counter"
    assert [each[4] for each in fields[2:]] == [0, 0]


def test_a_missing_function_whose_address_is_loaded_last_ends_the_search(
    our_kernel: Callable[..., LoadContext],
) -> None:
    load = asm.ld_imm64(asm.R1, 0).with_metadata(EXTERN, kfunc(function("nowhere"), is_weak=True))
    code = Instructions([asm.exit_(), load])
    resolve_externs(code, our_kernel(function("plain")), [], "x")
    assert code.fields(1)[4] == 0


def test_a_prototype_that_differs_is_shown_as_both_have_it(our_kernel: Callable[..., LoadContext]) -> None:
    context = our_kernel(function("compute", INT, Pointer(Struct("task", 8))))
    with pytest.raises(IncompatibleTypeError) as caught:
        resolved(calls(kfunc(function("compute", INT))), context)
    error = caught.value
    assert error.symbol == "compute"
    assert error.expected == "static int compute(int p0);"
    assert error.found == "static int compute(int p0, struct task *p1);"
    assert str(error).startswith("program 'x': the kernel has function 'compute', but not as the object declares it")
    assert error.expected in str(error)
    assert error.found in str(error)


def test_types_that_the_kernel_may_widen_or_name_otherwise_are_compatible(
    our_kernel: Callable[..., LoadContext],
) -> None:
    context = our_kernel(function("compute", LONG, Pointer(Struct("nf_conn", 8))))
    resolved(calls(kfunc(function("compute", INT, Pointer(Struct("nf_conn___mine", 4))))), context)


def test_a_struct_that_the_object_only_declares_is_any_struct(our_kernel: Callable[..., LoadContext]) -> None:
    context = our_kernel(function("compute", Pointer(Struct("nf_conn", 8))))
    resolved(calls(kfunc(function("compute", Pointer(Forward("nf_conn"))))), context)
    with pytest.raises(IncompatibleTypeError):
        resolved(calls(kfunc(function("compute", Pointer(Forward("nf_conn", is_union=True))))), context)


def test_what_follows_three_underscores_is_no_part_of_a_functions_name(
    our_kernel: Callable[..., LoadContext],
) -> None:
    """As libbpf since 1.3: of several declarations, weak, the one that fits is there."""
    context = our_kernel(function("compute", INT, INT))
    old, new = function("compute___v1", INT), function("compute___v2", INT, INT)
    places, _ = resolved(calls(kfunc(old, is_weak=True), kfunc(new, is_weak=True)), context)
    assert places[0] == (0, POISONED_KFUNC)
    assert context.vmlinux.type_by_id(places[1][1]).name == "compute"
    with pytest.raises(IncompatibleTypeError):
        resolved(calls(kfunc(old)), context)
    with pytest.raises(UnresolvedSymbolError, match="no function 'other'"):
        resolved(calls(kfunc(function("other___v1"))), context)


def test_of_functions_that_share_a_name_the_one_that_fits_is_called(our_kernel: Callable[..., LoadContext]) -> None:
    context = our_kernel(function("compute", INT), a_mod=[function("compute", INT, INT)])
    places, fds = resolved(calls(kfunc(function("compute", INT, INT))), context)
    assert (places[0][0], fds) == (1, [0, FIRST])


def test_a_variable_of_another_type_is_an_error_though_weak(our_kernel: Callable[..., LoadContext]) -> None:
    context = our_kernel(Variable("state", Struct("rq", 8), Linkage.GLOBAL))
    code = Instructions(
        [asm.ld_imm64(asm.R1, 0).with_metadata(EXTERN, Extern("state", ExternKind.KSYM, True, INT)), asm.exit_()]
    )
    with pytest.raises(IncompatibleTypeError, match="variable 'state'") as caught:
        resolve_externs(code, context, [], "x")
    assert (caught.value.expected, caught.value.found) == ("extern int state;", "struct rq state;")


def test_a_function_called_by_hand_is_found_by_its_name(our_kernel: Callable[..., LoadContext]) -> None:
    context = our_kernel(function("compute", INT))
    places, _ = resolved(Instructions([asm.call_kfunc("compute"), asm.exit_()]), context)
    assert context.vmlinux.type_by_id(places[0][1]).name == "compute"


def test_no_program_calls_functions_of_more_modules_than_the_verifier_takes(
    our_kernel: Callable[..., LoadContext],
) -> None:
    modules = {f"m{i}": [function(f"f{i}")] for i in range(257)}
    context = our_kernel(function("plain"), **modules)
    externs = [kfunc(function(f"f{i}")) for i in range(257)]
    _, fds = resolved(calls(*externs[:256]), context)
    assert len(fds) == 257
    with pytest.raises(SpecError, match="'x' calls functions of more than 256 kernel modules"):
        resolved(calls(*externs), context)


# --- the kernel at hand ----------------------------------------------------------------------------------------------


@pytest.mark.everywhere
@pytest.mark.requires("task kfuncs")
async def test_the_declaration_that_fits_this_kernel_is_called() -> None:
    spec = aiobpf.read_spec(OBJECTS / "kfuncs.bpf.o")
    async with Program.load(spec.programs["flavours"]) as program:
        assert (await program.run()).retval == 1


@pytest.mark.everywhere
@pytest.mark.requires("task kfuncs")
async def test_a_declaration_that_fits_not_is_named_before_the_verifier_sees_it() -> None:
    spec = aiobpf.read_spec(OBJECTS / "kfuncs.bpf.o")
    with pytest.raises(IncompatibleTypeError) as caught:
        await Program.load(spec.programs["wrong_prototype"])
    assert str(caught.value) == (
        "program 'wrong_prototype': the kernel has function 'bpf_task_from_pid', but not as the object declares it\n"
        "  object: extern struct task_struct *bpf_task_from_pid___wrong(__s32, struct task_struct *);\n"
        f"  kernel: {caught.value.found}\n"
        "  kfuncs.bpf.c:49  struct task_struct *task = bpf_task_from_pid___wrong(KTHREADD, NULL);"
    )
    assert "bpf_task_from_pid(s32 pid)" in caught.value.found


@pytest.mark.everywhere
@pytest.mark.requires("syscall programs")
async def test_a_missing_function_that_is_guarded_costs_nothing_and_unguarded_is_named() -> None:
    spec = aiobpf.read_spec(OBJECTS / "kfuncs.bpf.o")
    async with Program.load(spec.programs["guarded"]) as program:
        assert (await program.run()).retval == 5
    with pytest.raises(VerifierError) as caught:
        await Program.load(spec.programs["unguarded"])
    assert "calls the weak kernel function 'no_such_function'" in caught.value.reason
    assert caught.value.source is not None
    assert "return no_such_function();" in caught.value.source


@pytest.mark.root
@pytest.mark.parametrize("name", ["guarded", "unguarded"])
def test_a_poisoned_call_keeps_what_is_on_the_first_instruction_of_a_function(name: str) -> None:
    spec = aiobpf.read_spec(OBJECTS / "kfuncs.bpf.o").programs[name]
    before = spec.instructions
    start = before.functions()["call_what_is_missing"].start
    after = before.copy()
    with LoadContext(LoadOptions(), spec.types) as context:
        resolve_externs(after, context, [], name)
    assert after.fields(start)[4] == POISONED_KFUNC
    keys: list[Key[Any]] = [asm.SYMBOL, FUNCTION_INFO, LINE, EXTERN]
    for key in keys:
        assert before.get_metadata(start, key) is not None
        assert after.get_metadata(start, key) == before.get_metadata(start, key)
    assert after.functions() == before.functions()


@pytest.mark.everywhere
@pytest.mark.requires("task kfuncs")
@pytest.mark.shows("kfunc")
async def test_a_program_by_hand_calls_a_kernel_function() -> None:
    spec = ProgramSpec(
        name="by_hand",
        type=ProgramType.SYSCALL,
        license="GPL",
        flags=ProgramFlags.SLEEPABLE,
        instructions=Instructions(
            [
                asm.mov(asm.R1, 2),  # kthreadd
                asm.call_kfunc("bpf_task_from_pid"),
                asm.jeq(R0, 0, "out"),
                asm.mov(asm.R1, R0),
                asm.call_kfunc("bpf_task_release"),
                asm.mov(R0, 9),
                asm.exit_().with_label("out"),
            ]
        ),
    )
    async with Program.load(spec) as program:
        assert (await program.run()).retval == 9
