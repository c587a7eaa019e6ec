"""A check of made up objects and kernels: each thing that may be missing, and what is not known of it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf import asm
from aiobpf.btf import (
    CORE_RELOCATION,
    CoreRelocation,
    CoreRelocationKind,
    Function,
    FunctionPrototype,
    Linkage,
    Member,
    Pointer,
    Struct,
    Variable,
)
from aiobpf.compatibility import Finding, Need, Stage, Status, Verdict, check
from aiobpf.elf import read_spec
from aiobpf.errors import SpecError
from aiobpf.spec import EXTERN, CollectionSpec, Extern, ExternKind, MapSpec, ProgramSpec, StructOpsMembers
from aiobpf.uapi import AttachType, MapFlags, MapType, ProgramType

from .conftest import INT, OBJECTS, btf_of, function, make_kernel, struct, tracepoint

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.btf import Type
    from aiobpf.compatibility import TargetKernel


def findings(source: CollectionSpec | Path, kernel: TargetKernel, need: Need, *programs: str) -> list[Finding]:
    (report,) = check(source, kernel, programs=programs or None).kernels
    return [finding for finding in report.findings if finding.need is need]


def program(section: str, *code: asm.Instruction) -> CollectionSpec:
    """A collection of one program, as its section says."""
    from aiobpf.spec.sections import parse_section

    match = parse_section(section)
    instructions = asm.Instructions(code or (asm.mov(asm.R0, 0), asm.exit_()))
    spec = ProgramSpec(
        name="it",
        type=match.type,
        attach_type=match.attach_type,
        attach_to=match.attach_to,
        flags=match.flags,
        section=section,
        instructions=instructions,
    )
    return CollectionSpec(programs={"it": spec})


def target(section: str, kernel: TargetKernel) -> Finding:
    (found,) = findings(program(section), kernel, Need.ATTACH_TARGET)
    return found


# --- types -----------------------------------------------------------------------------------------------------------


def test_a_program_type_is_there_if_the_kernel_was_built_with_it() -> None:
    def status(kernel: TargetKernel) -> tuple[Status, str]:
        (found,) = findings(program("lsm/file_open"), kernel, Need.PROGRAM_TYPE)
        return found.status, found.reason

    assert status(make_kernel()) == (Status.RESOLVED, "")
    older = [each for each in ProgramType if each < ProgramType.LSM]
    assert status(make_kernel(program_types=older)) == (Status.MISSING, "the kernel is older than it")
    kernel = make_kernel()
    assert kernel.program_types is not None
    kernel.__dict__["program_types"] = kernel.program_types - {"LSM"}
    assert status(kernel) == (Status.MISSING, "the kernel knows it, but was built without it")


def test_an_attach_type_is_checked_at_load_or_at_attach() -> None:
    older = [each for each in AttachType if each < AttachType.TRACE_KPROBE_MULTI]
    kernel = make_kernel(attach_types=older)
    (found,) = findings(program("kprobe.multi/x*"), kernel, Need.ATTACH_TYPE)
    assert (found.status, found.stage, found.verdict) == (Status.MISSING, Stage.ATTACH, Verdict.LOADS)
    (found,) = findings(program("cgroup/sendmsg_unix"), kernel, Need.ATTACH_TYPE)
    assert (found.status, found.stage, found.verdict) == (Status.MISSING, Stage.LOAD, Verdict.REFUSED)


def test_a_map_type_is_missing_with_the_option_that_builds_it_in() -> None:
    maps = {"a": MapSpec(name="a", type=MapType.INODE_STORAGE), "b": MapSpec(name="b", type=MapType.ARENA)}
    spec = CollectionSpec(maps=maps)
    assert check(spec, make_kernel()).verdict is Verdict.LOADS
    kernel = make_kernel(
        program_types=[each for each in ProgramType if each is not ProgramType.LSM],
        map_types=[each for each in MapType if each < MapType.ARENA],
    )
    first, second = findings(spec, kernel, Need.MAP_TYPE)
    assert (first.map, first.status, first.reason) == (
        "a", Status.MISSING, "the kernel knows it, but was built without it",
    )  # fmt: skip
    assert (second.map, second.status, second.reason) == ("b", Status.MISSING, "the kernel is older than it")


def test_the_inner_map_counts() -> None:
    inner = MapSpec(name="outer.inner", type=MapType.RHASH)
    outer = MapSpec(name="outer", type=MapType.ARRAY_OF_MAPS, inner=inner)
    kernel = make_kernel(map_types=[each for each in MapType if each is not MapType.RHASH])
    assert check(CollectionSpec(maps={"outer": outer}), kernel).verdict is Verdict.REFUSED


def test_operations_of_struct_ops_and_their_members_are_looked_up() -> None:
    pointer = Pointer(FunctionPrototype(INT, ()))
    value = Struct("tcp_congestion_ops___mine", 16, [Member("init", pointer, 0), Member("undo", pointer, 64)])
    members = StructOpsMembers(value, bytes(16), {"init": "it"})
    ops = MapSpec(name="ops", type=MapType.STRUCT_OPS, members=members)
    spec = program("struct_ops")
    spec.maps["ops"] = ops
    operations = Struct("tcp_congestion_ops", 8, [Member("init", pointer, 0)])
    known = make_kernel(struct("bpf_struct_ops_tcp_congestion_ops", data=0), operations)
    assert [(each.subject, each.status) for each in findings(spec, known, Need.ATTACH_TARGET)] == [
        ("struct_ops tcp_congestion_ops", Status.RESOLVED), ("struct_ops tcp_congestion_ops.init", Status.RESOLVED),
    ]  # fmt: skip
    assert check(spec, known).kernels[0].programs == {"it": Verdict.LOADS}
    members["undo"] = "it"
    members["init"] = None
    *_, undo = findings(spec, known, Need.ATTACH_TARGET)
    assert (undo.subject, undo.status) == ("struct_ops tcp_congestion_ops.undo", Status.MISSING)
    assert findings(spec, make_kernel(), Need.ATTACH_TARGET)[0].status is Status.UNKNOWN
    assert findings(spec, make_kernel(modules={}), Need.ATTACH_TARGET)[0].status is Status.MISSING
    ops.autocreate = False
    assert check(spec, make_kernel(modules={})).kernels[0].findings == ()


def test_a_helper_is_needed_only_where_it_is_called() -> None:
    code = [asm.mov(asm.R1, 0), asm.jeq(asm.R1, 0, 1), asm.call_helper(181), asm.mov(asm.R0, 0), asm.exit_()]
    kernel = make_kernel(helpers=163)
    (found,) = findings(program("xdp", *code), kernel, Need.HELPER)
    assert (found.subject, found.status, found.slot) == ("bpf_loop#181", Status.GUARDED, 2)
    code[0] = asm.mov(asm.R1, 1)
    (found,) = findings(program("xdp", *code), kernel, Need.HELPER)
    assert (found.status, found.verdict) == (Status.MISSING, Verdict.REFUSED)
    assert findings(program("xdp", *code), make_kernel(), Need.HELPER)[0].status is Status.RESOLVED


def test_helpers_that_a_load_replaces_are_not_missing() -> None:
    spec = program("xdp", asm.call_helper(113), asm.mov(asm.R0, 0), asm.exit_())
    assert check(spec, make_kernel(helpers=111)).verdict is Verdict.LOADS


def test_a_newer_instruction_refuses_where_an_older_kernel_sees_it() -> None:
    behind = [asm.mov(asm.R1, 0), asm.jeq(asm.R1, 0, 1)]
    end = [asm.mov(asm.R0, 0), asm.exit_()]
    kernel = make_kernel(attach_types=[each for each in AttachType if each < AttachType.TRACE_UPROBE_MULTI])

    def status(instruction: asm.Instruction, *before: asm.Instruction) -> Status:
        (found,) = findings(program("socket", *before, instruction, *end), kernel, Need.INSTRUCTION)
        return found.status

    assert status(asm.movsx(asm.R1, asm.R1, 8)) is Status.MISSING
    assert status(asm.movsx(asm.R1, asm.R1, 8), *behind) is Status.GUARDED  # looked at where it is reached
    assert status(asm.bswap(asm.R1, 32), *behind) is Status.MISSING  # an opcode that is looked up everywhere
    assert status(asm.may_goto(0)) is Status.RESOLVED
    assert status(asm.load_acquire(8, asm.R1, asm.R10, -8)) is Status.UNKNOWN
    kernel.version = (6, 15, 0)
    assert status(asm.load_acquire(8, asm.R1, asm.R10, -8)) is Status.RESOLVED


def test_a_map_type_that_may_not_be_built_in_is_unknown() -> None:
    spec = CollectionSpec(maps={"a": MapSpec(name="a", type=MapType.XSKMAP)})
    (found,) = findings(spec, make_kernel(function("array_map_alloc")), Need.MAP_TYPE)
    assert found.status is Status.UNKNOWN
    there = make_kernel(function("array_map_alloc"), function("xsk_map_alloc"))
    assert check(spec, there).verdict is Verdict.LOADS


def test_flags_of_maps_and_programs_are_as_old_as_they_are() -> None:
    older = make_kernel(
        attach_types=[each for each in AttachType if each < AttachType.NETFILTER], helpers=187,
        map_types=[each for each in MapType if each < MapType.ARENA],
    )  # fmt: skip
    maps = {each.name or "": MapSpec(name="a", type=MapType.ARRAY, flags=each) for each in MapFlags}
    refused = {each.subject for each in findings(CollectionSpec(maps=maps), older, Need.MAP_FLAG)}
    assert refused == {"LINK", "SEGV_ON_FAULT", "NO_USER_CONV", "RB_OVERWRITE"}
    assert check(CollectionSpec(maps=maps), make_kernel()).verdict is Verdict.LOADS
    for section, flag in (("xdp.frags", "XDP_HAS_FRAGS"), ("uprobe.s", "SLEEPABLE")):
        (found,) = findings(program(section), older, Need.PROGRAM_FLAG)
        assert (found.subject, found.verdict) == (flag, Verdict.REFUSED)
        assert findings(program(section), make_kernel(), Need.PROGRAM_FLAG)[0].status is Status.RESOLVED
    assert findings(program("fentry.s/f"), older, Need.PROGRAM_FLAG) == []


# --- attach targets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "type_"),
    [
        ("tp_btf/sched_switch", tracepoint("sched_switch")),
        ("fentry/vfs_read", function("vfs_read")),
        ("fexit.s/vfs_read", function("vfs_read")),
        ("fmod_ret/security_x", function("security_x")),
        ("lsm/file_open", function("bpf_lsm_file_open")),
        ("iter/task", function("bpf_iter_task")),
    ],
)
def test_a_target_that_a_program_is_verified_against_is_needed_to_load(section: str, type_: Type) -> None:
    found = target(section, make_kernel(type_))
    assert (found.status, found.stage, found.answer) == (Status.RESOLVED, Stage.LOAD, "vmlinux")
    absent = target(section, make_kernel(modules={}))
    assert (absent.status, absent.verdict) == (Status.MISSING, Verdict.REFUSED)
    unknown = target(section, make_kernel())
    expected = Status.MISSING if section.startswith("lsm") else Status.UNKNOWN  # hooks are in no module
    assert unknown.status is expected
    base = make_kernel()
    module = btf_of([INT, type_], base=None)
    base.modules = {"some": module}
    assert (target(section, base).status, target(section, base).answer) == (Status.RESOLVED, "some")


def test_a_module_before_the_target_counts() -> None:
    kernel = make_kernel(function("read"), modules={"a": btf_of([INT]), "b": btf_of([function("read")])})
    assert target("fentry/b:read", kernel).answer == "b"
    assert target("fentry/a:read", kernel).status is Status.MISSING
    assert target("fentry/vmlinux:read", kernel).answer == "vmlinux"


@pytest.mark.parametrize("section", ["kprobe/vfs_read", "kretprobe/vfs_read", "kprobe/vfs_read+8"])
def test_a_probe_on_what_is_not_there_loads_and_attaches_nowhere(section: str) -> None:
    found = target(section, make_kernel(function("vfs_read")))
    assert (found.status, found.stage) == (Status.RESOLVED, Stage.ATTACH)
    unknown = target(section, make_kernel())
    assert (unknown.status, unknown.verdict) == (Status.UNKNOWN, Verdict.LOADS)
    assert target(section, make_kernel(symbols=frozenset({"vfs_read"}))).answer == "kallsyms"
    absent = target(section, make_kernel(symbols=frozenset()))
    assert (absent.status, absent.verdict) == (Status.MISSING, Verdict.LOADS)


def test_tracepoints_are_known_by_btf_and_trace_events_only_sometimes() -> None:
    kernel = make_kernel(tracepoint("sched_switch"), modules={})
    assert target("raw_tp/sched_switch", kernel).status is Status.RESOLVED
    assert target("raw_tp/sched_gone", kernel).status is Status.MISSING
    assert target("raw_tp/sched_gone", make_kernel(tracepoint("sched_switch"))).status is Status.UNKNOWN
    assert target("tp/sched/sched_switch", kernel).status is Status.RESOLVED
    assert target("tp/syscalls/sys_enter_openat", kernel).status is Status.UNKNOWN


def test_system_calls_are_found_under_any_machines_name() -> None:
    assert target("ksyscall/openat", make_kernel(function("__arm64_sys_openat"))).status is Status.RESOLVED
    assert target("ksyscall/openat", make_kernel()).status is Status.UNKNOWN
    assert target("ksyscall/openat", make_kernel(symbols=frozenset())).status is Status.MISSING


# --- externs ---------------------------------------------------------------------------------------------------------


def extern(name: str, kernel: TargetKernel, *programs: str) -> Finding:
    (report,) = check(OBJECTS / "externs.bpf.o", kernel, programs=programs or None).kernels
    return next(finding for finding in report.findings if finding.subject == name)


def task_function(name: str, *tags: str) -> Function:
    """As the object declares bpf_task_from_pid."""
    return function(name, *tags, returns=Pointer(struct("task_struct", pid=0)), takes=[INT])


def test_kernel_functions_are_in_vmlinux_a_module_or_nowhere() -> None:
    name = "bpf_task_from_pid"
    assert extern(name, make_kernel(task_function(name))).status is Status.RESOLVED
    assert extern(name, make_kernel()).status is Status.UNKNOWN
    assert extern(name, make_kernel(modules={})).status is Status.MISSING
    assert extern(name, make_kernel(modules={"m": btf_of([task_function(name)])})).answer == "m"
    # Where BTF says which functions programs may call, a function of that name is not enough.
    tagged = function("bpf_task_acquire", "bpf_kfunc")
    assert extern(name, make_kernel(tagged, task_function(name, "bpf_kfunc"))).status is Status.RESOLVED
    refused = extern(name, make_kernel(tagged, task_function(name)))
    assert (refused.status, refused.verdict) == (Status.MISSING, Verdict.REFUSED)
    assert "not one that programs may call" in refused.reason
    assert refused.source == "externs.bpf.c:57  struct task_struct *task = bpf_task_from_pid(1);"


def test_a_kernel_function_of_another_prototype_is_told() -> None:
    found = extern("bpf_task_from_pid", make_kernel(function("bpf_task_from_pid", takes=[INT, INT])))
    assert found.verdict is Verdict.REFUSED
    assert found.reason.endswith("not as the object declares it: static int bpf_task_from_pid(int p0, int p1);")
    weak = extern("no_such_function", make_kernel(function("no_such_function", takes=[INT, INT])))
    assert (weak.status, weak.verdict) == (Status.ABSENT, Verdict.LOADS)
    assert extern("no_such_function", make_kernel(function("no_such_function", takes=[INT]))).status is Status.RESOLVED
    variable = extern("runqueues", make_kernel(Variable("runqueues", INT, Linkage.GLOBAL)))
    assert variable.verdict is Verdict.REFUSED


def test_a_call_by_name_alone_is_a_kernel_function_too() -> None:
    spec = program("xdp", asm.call_kfunc("bpf_f"), asm.exit_())
    (found,) = findings(spec, make_kernel(modules={}), Need.KFUNC)
    assert (found.subject, found.verdict) == ("bpf_f", Verdict.REFUSED)
    assert check(spec, make_kernel(function("bpf_f"))).verdict is Verdict.LOADS


def test_a_program_that_replaces_a_function_of_another_is_unknown() -> None:
    (found,) = findings(program("freplace/f"), make_kernel(modules={}), Need.ATTACH_TARGET)
    assert (found.subject, found.verdict) == ("function f of another program", Verdict.UNKNOWN)


def test_a_weak_function_that_is_missing_is_absent() -> None:
    for kernel in (make_kernel(), make_kernel(modules={})):
        found = extern("no_such_function", kernel)
        assert (found.status, found.verdict) == (Status.ABSENT, Verdict.LOADS)


def test_typed_symbols_need_btf_and_an_address() -> None:
    runqueues = Variable("runqueues", struct("rq", nr_running=0), Linkage.GLOBAL)
    assert extern("runqueues", make_kernel(runqueues)).status is Status.RESOLVED
    assert extern("runqueues", make_kernel()).status is Status.UNKNOWN
    assert extern("runqueues", make_kernel(modules={})).status is Status.MISSING
    no_address = extern("runqueues", make_kernel(runqueues, symbols=frozenset()))
    assert (no_address.status, no_address.verdict) == (Status.MISSING, Verdict.REFUSED)


def test_untyped_symbols_are_in_kallsyms_or_a_function_of_btf() -> None:
    assert extern("schedule", make_kernel(function("schedule"))).status is Status.RESOLVED
    assert extern("schedule", make_kernel()).verdict is Verdict.UNKNOWN
    assert extern("schedule", make_kernel(symbols=frozenset({"schedule"}))).answer == "kallsyms"
    assert extern("schedule", make_kernel(symbols=frozenset())).verdict is Verdict.REFUSED
    weak = extern("no_such_symbol", make_kernel())
    assert (weak.status, weak.verdict) == (Status.UNKNOWN, Verdict.LOADS)
    assert extern("no_such_symbol", make_kernel(symbols=frozenset())).status is Status.ABSENT


def test_options_are_as_the_configuration_says() -> None:
    kernel = make_kernel(config={"CONFIG_HZ": "250", "CONFIG_IPV6": "m", "CONFIG_BPF_SYSCALL": "m"})
    assert extern("CONFIG_HZ", kernel).answer == "250"
    assert extern("CONFIG_IPV6", kernel).answer == "m"
    no_bool = extern("CONFIG_BPF_SYSCALL", kernel)
    assert (no_bool.verdict, "no value for m" in no_bool.reason) == (Verdict.REFUSED, True)
    assert extern("CONFIG_CC_VERSION_TEXT", kernel).verdict is Verdict.REFUSED
    assert extern("CONFIG_NO_SUCH_OPTION", kernel).status is Status.ABSENT
    unknown = make_kernel()
    assert extern("CONFIG_HZ", unknown).verdict is Verdict.UNKNOWN
    assert extern("CONFIG_NO_SUCH_OPTION", unknown).verdict is Verdict.LOADS


def test_the_version_is_what_is_known_of_it() -> None:
    assert extern("LINUX_KERNEL_VERSION", make_kernel(version=(6, 1, 300))).answer == str(0x0601FF)
    found = extern("LINUX_KERNEL_VERSION", make_kernel())
    assert (found.status, found.answer) == (Status.RESOLVED, "not known here")


def test_options_that_no_program_reads_count_too() -> None:
    kernel = make_kernel(config={})
    (report,) = check(OBJECTS / "externs.bpf.o", kernel, programs=["functions"]).kernels
    refused = {
        each.subject: each.map
        for each in report.findings
        if each.need is Need.KCONFIG and each.verdict is not Verdict.LOADS
    }
    assert refused.keys() == {"CONFIG_HZ", "CONFIG_BPF_SYSCALL", "CONFIG_IPV6", "CONFIG_CC_VERSION_TEXT"}
    assert set(refused.values()) == {".kconfig"}


def test_what_another_object_has_must_be_linked_first() -> None:
    spec = program("xdp", asm.call_function("elsewhere"), asm.exit_())
    missing = Extern("elsewhere", ExternKind.FUNCTION)
    spec.externs["elsewhere"] = missing
    spec.programs["it"].instructions.set_metadata(0, EXTERN, missing)
    (found,) = findings(spec, make_kernel(), Need.SYMBOL)
    assert (found.subject, found.verdict) == ("elsewhere", Verdict.REFUSED)
    assert "link them first" in found.reason


# --- CO-RE -----------------------------------------------------------------------------------------------------------

TASK = struct("task_struct", pid=8)
GUARDED = [
    "by_field", "by_either", "by_constant", "by_version", "by_option", "by_helper", "by_symbol", "by_kfunc",
    "by_function", "by_argument", "by_spilled", "by_loop",
]  # fmt: skip


def old_task() -> TargetKernel:
    return make_kernel(TASK, modules={}, config={}, symbols=frozenset(), version=(6, 1, 0))


@pytest.mark.parametrize("name", ["guards.bpf.o", "guards.eb.bpf.o"])
def test_code_behind_a_check_is_guarded_and_code_without_one_refuses_the_program(name: str) -> None:
    spec = read_spec(OBJECTS / name)
    kernel = old_task()
    if spec.byte_order == "big":
        kernel = make_kernel(TASK, modules={}, config={}, symbols=frozenset(), version=(6, 1, 0), byte_order="big")
    (report,) = check(spec, kernel, programs=list(spec.programs)).kernels
    refused = [each for each, verdict in report.programs.items() if verdict is Verdict.REFUSED]
    assert sorted(refused) == sorted(spec.programs.keys() - GUARDED)
    assert {verdict for each, verdict in report.programs.items() if each in GUARDED} == {Verdict.LOADS}
    (report,) = check(spec, kernel).kernels
    assert report.verdict is Verdict.LOADS  # the others are in sections with "?"


def test_with_everything_there_nothing_is_refused() -> None:
    kernel = make_kernel(
        struct("task_struct", pid=8, no_such_field=12), struct("no_such_struct", field=4),
        function("no_such_function", takes=[INT]), helpers=5000, config={}, symbols=frozenset({"no_such_symbol"}),
        modules={}, version=(3, 0, 0),
    )  # fmt: skip
    spec = read_spec(OBJECTS / "guards.bpf.o")
    report = check(spec, kernel, programs=list(spec.programs))
    assert report.verdict is Verdict.LOADS
    offsets = {
        (each.subject, each.answer)
        for each in report.kernels[0].findings
        if each.need is Need.RELOCATION and each.question == "offset"
    }
    assert offsets == {("field struct task_struct.no_such_field", "12"), ("field struct no_such_struct.field", "4")}


def test_what_hangs_on_something_unknown_is_unknown() -> None:
    spec = read_spec(OBJECTS / "guards.bpf.o")
    kernel = make_kernel(TASK)
    (report,) = check(spec, kernel, programs=["by_version", "by_option", "by_symbol", "by_field"]).kernels
    assert report.programs == {
        "by_version": Verdict.UNKNOWN, "by_option": Verdict.UNKNOWN, "by_symbol": Verdict.UNKNOWN,
        "by_field": Verdict.LOADS,
    }  # fmt: skip


def test_a_constant_that_is_set_before_counts() -> None:
    spec = read_spec(OBJECTS / "guards.bpf.o")
    spec.variables["is_wanted"].value = True
    (report,) = check(spec, old_task(), programs=["by_constant"]).kernels
    assert report.verdict is Verdict.REFUSED
    (refused,) = (finding for finding in report.findings if finding.verdict is Verdict.REFUSED)
    assert refused.subject == "field struct task_struct.no_such_field"
    assert refused.source is not None
    assert refused.source.startswith("guards.bpf.c:")


def test_types_that_disagree_refuse_the_program_wherever_the_instruction_is() -> None:
    spec = program(
        "xdp", asm.mov(asm.R1, 0), asm.jeq(asm.R1, 0, 1), asm.mov(asm.R2, 0), asm.mov(asm.R0, 0), asm.exit_()
    )
    relocation = CoreRelocation(1, struct("s", a=0), "0:0", CoreRelocationKind.FIELD_BYTE_OFFSET)
    spec.programs["it"].instructions.set_metadata(2, CORE_RELOCATION, relocation)
    kernel = make_kernel(struct("s", a=0), struct("s", a=8))
    (found,) = findings(spec, kernel, Need.RELOCATION)
    assert (found.verdict, "they disagree" in found.reason) == (Verdict.REFUSED, True)
    assert check(spec, make_kernel(struct("s", a=8))).verdict is Verdict.LOADS


def test_types_of_modules_are_candidates() -> None:
    spec = program("xdp", asm.mov(asm.R2, 0), asm.mov(asm.R0, 0), asm.exit_())
    relocation = CoreRelocation(1, struct("s", a=0), "0:0", CoreRelocationKind.FIELD_BYTE_OFFSET)
    spec.programs["it"].instructions.set_metadata(0, CORE_RELOCATION, relocation)
    (found,) = findings(spec, make_kernel(modules={"m": btf_of([struct("s", a=24)])}), Need.RELOCATION)
    assert (found.status, found.answer) == (Status.RESOLVED, "24")


def test_an_object_of_the_other_byte_order_is_refused() -> None:
    report = check(OBJECTS / "core.eb.bpf.o", make_kernel())
    (found,) = report.kernels[0].findings
    assert (found.need, found.reason) == (Need.BYTE_ORDER, "the object is big-endian, the kernel little-endian")
    assert set(report.kernels[0].programs.values()) == {Verdict.REFUSED}


# --- the whole -------------------------------------------------------------------------------------------------------


def test_each_kernel_has_its_own_report_and_the_spec_stays_as_it_is() -> None:
    spec = read_spec(OBJECTS / "guards.bpf.o")
    before = spec.copy()
    report = aiobpf.check(spec, [make_kernel(name="a"), make_kernel(name="b", program_types=[ProgramType.XDP])])
    assert [(each.kernel, each.verdict) for each in report.kernels] == [
        ("a", Verdict.UNKNOWN), ("b", Verdict.REFUSED),
    ]  # fmt: skip
    assert report.verdict is Verdict.REFUSED
    assert spec.programs == before.programs
    assert spec.maps == before.maps


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SpecError, match="no program 'nobody'"):
        check(OBJECTS / "guards.bpf.o", make_kernel(), programs=["nobody"])


def test_nothing_of_the_machine_is_asked() -> None:
    code = (
        "import sys, aiobpf\n"
        f"aiobpf.check({str(OBJECTS / 'guards.bpf.o')!r}, "
        f"aiobpf.TargetKernel.from_files({str(OBJECTS / 'core.bpf.o')!r}))\n"
        "asked = [name for name in sys.modules if name.startswith(('aiobpf.kernel', 'aiobpf.runtime', 'anyio'))]\n"
        "print(*asked)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
