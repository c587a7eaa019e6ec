"""Programs that the verifier refuses, each for one reason: what is known about refusals is proved by them.

``tests/runtime/verifier_logs/record.py`` writes down what a kernel says of them; the tests load them on the kernel at
hand. An instruction with the label "here" is where the verifier stops; of a program in C, the line that says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf import asm
from aiobpf.asm import LABEL, R0, R1, R2, R3, R4, R6, R7, R8, R10, Instructions
from aiobpf.spec import MapSpec, ProgramSpec
from aiobpf.uapi import AttachType, MapFlags, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiobpf.asm import Instruction

OBJECT = Path(__file__).parent.parent / "objects" / "refused.bpf.o"
POISON = 0xBAD2310

MAPS = {
    "table": MapSpec(name="table", type=MapType.HASH, key_size=4, value_size=8, max_entries=1),
    "constants": MapSpec(
        name="constants", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1, flags=MapFlags.RDONLY_PROG
    ),
    "sink": MapSpec(
        name="sink", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1, flags=MapFlags.WRONLY_PROG
    ),
    "ring": MapSpec(name="ring", type=MapType.RINGBUF, max_entries=4096),
    "programs": MapSpec(name="programs", type=MapType.PROG_ARRAY, key_size=4, value_size=4, max_entries=1),
}


@frozen
class Refused:
    """One program: its *cause* is the name that the table of reasons has for it."""

    name: str
    cause: str
    make: Callable[[], ProgramSpec] = field(repr=False)
    source: str | None = None
    """Part of the source line it is refused at, for a program in C."""
    since: tuple[int, int] = (5, 10)
    until: tuple[int, int] = (99, 0)
    """Kernels that refuse it for that: earlier ones lack what it uses, those from `until` on take it."""
    older: str | None = None
    """The cause on kernels before `since`; None where it cannot be loaded at all, or is taken."""
    exceptions: Mapping[tuple[int, int], str] = field(factory=dict)
    """The causes on kernels that see it in another light."""
    levels: tuple[int, ...] = (1,)
    is_unprivileged: bool = False
    """Whether it takes a user without privileges, whom most machines let load nothing."""

    def cause_on(self, release: tuple[int, int]) -> str | None:
        """The cause that kernel *release* has; None where it does not get to verify it."""
        return self.exceptions.get(release, self.cause if release >= self.since else self.older)

    def slot(self) -> int | None:
        """The slot that the verifier stops at, where the program says so."""
        instructions = self.make().instructions
        return next((slot for slot, name in instructions.with_key_by_slot(LABEL) if name == "here"), None)


def program(
    *instructions: Instruction,
    type_: ProgramType = ProgramType.SOCKET_FILTER,
    license_: str = "GPL",
    attach_type: AttachType | None = None,
    section: str = "",
    attach_to: str = "",
) -> ProgramSpec:
    return ProgramSpec(
        name="refused", type=type_, license=license_, instructions=Instructions(instructions), maps=MAPS,
        attach_type=attach_type, section=section, attach_to=attach_to,
    )  # fmt: skip


def compiled(name: str) -> ProgramSpec:
    from aiobpf.elf import read_spec

    return read_spec(OBJECT).programs[name]


def in_c(
    name: str,
    cause: str,
    source: str | None = None,
    *,
    since: tuple[int, int] = (5, 10),
    until: tuple[int, int] = (99, 0),
    older: str | None = None,
    levels: tuple[int, ...] = (1,),
) -> Refused:
    return Refused(name, cause, lambda: compiled(name), source, since=since, until=until, older=older, levels=levels)


def here(instruction: Instruction) -> Instruction:
    return instruction.with_label("here")


def looked_up(name: str = "table") -> list[Instruction]:
    """R0 = a value of the map, or NULL; R6 keeps the context."""
    return [
        asm.mov(R6, R1),
        asm.st(4, R10, -4, 0),
        asm.mov(R2, R10),
        asm.add(R2, -4),
        asm.load_map_ptr(R1, name),
        asm.call_helper("map_lookup_elem"),
    ]


def found(name: str = "table") -> list[Instruction]:
    """As `looked_up`, and checked; the label "out" is where it goes without a value."""
    return [*looked_up(name), asm.jeq(R0, 0, "out")]


OUT = (asm.mov(R0, 0).with_label("out"), asm.exit_())


def reserved() -> list[Instruction]:
    """R0 = 8 bytes of the ring, or NULL."""
    return [
        asm.load_map_ptr(R1, "ring"),
        asm.mov(R2, 8),
        asm.mov(R3, 0),
        asm.call_helper("ringbuf_reserve"),
    ]


def nested(*sizes: int, last: tuple[Instruction, ...] = ()) -> list[Instruction]:
    """Functions that use so many bytes of stack, each calling the next."""
    code: list[Instruction] = []
    for i, size in enumerate(sizes):
        body = [asm.st(8, R10, -size, 0)]
        if i + 1 < len(sizes):
            body.append(asm.call_function(f"f{i + 1}"))
        body += [asm.mov(R0, 0), *(last if i + 1 == len(sizes) else ()), asm.exit_()]
        code += [body[0].with_symbol(f"f{i}") if i else body[0], *body[1:]]
    return code


def million() -> ProgramSpec:
    return program(asm.mov(R0, 0), asm.add(R0, 1).with_label("again"), asm.jlt(R0, 5_000_000, "again"), asm.exit_())


def many_jumps() -> ProgramSpec:
    turns = [asm.ldx(4, R6, R1, 0), asm.jset(R6, 1, 0)] * 8200
    return program(asm.mov(R0, 0), *turns, asm.exit_())


P = program
PROGRAMS = (
    # --- pointers ---------------------------------------------------------------------------------------------------
    Refused("scalar_deref", "scalar-as-pointer", lambda: P(
        asm.mov(R1, 0x1234), here(asm.ldx(8, R0, R1)), asm.exit_())),
    Refused("loaded_scalar", "scalar-as-pointer", lambda: P(
        asm.mov(R6, R1), asm.ldx(4, R7, R6, 0), asm.mov(R8, R7), here(asm.ldx(8, R0, R8)), asm.exit_()),
        levels=(1, 2)),
    Refused("or_null", "unchecked-null", lambda: P(*looked_up(), here(asm.ldx(8, R0, R0)), asm.exit_()),
        levels=(1, 2)),
    Refused("or_null_moved", "unchecked-null", lambda: P(
        *looked_up(), asm.stx(8, R10, R0, -16), asm.mov(R0, 0), asm.ldx(8, R7, R10, -16), asm.mov(R3, R7),
        here(asm.st(8, R3, 0, 1)), asm.exit_()), levels=(1, 2)),
    Refused("or_null_arithmetic", "unchecked-null", lambda: P(*looked_up(), here(asm.add(R0, 4)), *OUT)),
    Refused("or_null_argument", "argument-type", lambda: P(
        *looked_up(), asm.mov(R2, R0), asm.load_map_ptr(R1, "table"), here(asm.call_helper("map_lookup_elem")), *OUT)),
    Refused("pointer_arithmetic", "pointer-arithmetic", lambda: P(here(asm.mul(R1, 2)), *OUT)),
    Refused("pointer_added", "pointer-arithmetic", lambda: P(asm.mov(R2, R10), here(asm.add(R2, R1)), *OUT)),
    Refused("modified_context", "modified-pointer", lambda: P(
        asm.add(R1, 8), here(asm.call_helper("skb_pull_data")), *OUT, type_=ProgramType.SCHED_CLS)),
    Refused("mixed_pointers", "mixed-pointers", lambda: P(
        asm.st(8, R10, -8, 0), asm.ldx(4, R6, R1, 0), asm.mov(R2, R1), asm.jgt(R6, 7, "here"), asm.mov(R2, R10),
        asm.add(R2, -8), here(asm.ldx(4, R0, R2)), asm.exit_())),
    Refused("pointer_in_part", "partial-spill", lambda: P(
        asm.stx(8, R10, R1, -8), here(asm.stx(4, R10, R1, -8)), *OUT)),
    Refused("atomic_on_context", "atomic-target", lambda: P(
        asm.mov(R2, 1), here(asm.atomic_add(8, R1, R2)), *OUT)),
    Refused("end_of_packet", "wrong-pointer", lambda: P(
        asm.ldx(4, R7, R1, 80), here(asm.ldx(1, R0, R7)), asm.exit_(), type_=ProgramType.SCHED_CLS)),
    Refused("result_leaked", "pointer-leak", lambda: P(asm.mov(R0, R10), here(asm.exit_())), is_unprivileged=True),
    # --- bounds -----------------------------------------------------------------------------------------------------
    Refused("map_value_bounds", "map-value-bounds", lambda: P(*found(), here(asm.ldx(8, R0, R0, 8)), *OUT)),
    Refused("map_value_by_helper", "map-value-bounds", lambda: P(
        *found(), asm.mov(R1, R0), asm.mov(R2, 64), asm.mov(R3, 0), here(asm.call_helper("probe_read_kernel")), *OUT,
        type_=ProgramType.KPROBE)),
    Refused("map_value_index", "map-value-bounds", lambda: P(
        *found(), asm.ldx(4, R7, R6, 0), asm.and_(R7, 0xFF), asm.add(R0, R7), here(asm.ldx(1, R0, R0)), *OUT),
        levels=(1, 2)),
    Refused("index_unbounded", "unbounded-offset", lambda: P(
        *found(), asm.ldx(4, R7, R6, 0), asm.lsh(R7, 3), asm.add(R0, R7), here(asm.ldx(8, R0, R0)), *OUT)),
    Refused("index_negative", "negative-offset", lambda: P(
        *found(), asm.ldx(4, R7, R6, 0), asm.lsh(R7, 32), asm.arsh(R7, 32), asm.jsgt(R7, 4, "out"),
        here(asm.add(R0, R7)), asm.ldx(1, R0, R0), *OUT)),
    Refused("packet_unchecked", "packet-bounds", lambda: P(
        asm.ldx(4, R2, R1, 76), here(asm.ldx(1, R0, R2)), asm.exit_(), type_=ProgramType.SCHED_CLS), levels=(1, 2)),
    Refused("packet_checked_too_little", "packet-bounds", lambda: P(
        asm.ldx(4, R2, R1, 0), asm.ldx(4, R3, R1, 4), asm.mov(R4, R2), asm.add(R4, 14), asm.jgt(R4, R3, "out"),
        here(asm.ldx(4, R0, R2, 12)), *OUT, type_=ProgramType.XDP), levels=(1, 2)),
    Refused("sample_bounds", "memory-bounds", lambda: P(
        *reserved(), asm.jeq(R0, 0, "out"), here(asm.st(8, R0, 8, 1)), *OUT)),
    Refused("stack_bounds", "stack-bounds", lambda: P(here(asm.st(8, R10, -520, 0)), *OUT)),
    Refused("stack_above", "stack-bounds", lambda: P(here(asm.st(8, R10, 8, 0)), *OUT)),
    Refused("context_bounds", "context-access", lambda: P(
        asm.mov(R6, R1), here(asm.ldx(8, R0, R6, 4096)), asm.exit_())),
    Refused("context_of_another_hook", "context-access", lambda: P(
        here(asm.ldx(4, R0, R1, 8)), asm.mov(R0, 1), asm.exit_(), type_=ProgramType.CGROUP_SOCK_ADDR,
        attach_type=AttachType.CGROUP_INET4_CONNECT)),
    Refused("context_written", "context-access", lambda: P(here(asm.st(4, R1, 0, 1)), *OUT)),
    # --- what was never set -----------------------------------------------------------------------------------------
    Refused("register_unset", "uninitialised-register", lambda: P(here(asm.mov(R0, R3)), asm.exit_())),
    Refused("register_lost_in_call", "uninitialised-register", lambda: P(
        asm.call_helper("ktime_get_ns"), here(asm.ldx(4, R0, R1)), asm.exit_()), levels=(1, 2)),
    Refused("register_unset_on_a_branch", "uninitialised-register", lambda: P(
        asm.ldx(4, R6, R1, 0), asm.jgt(R6, 100, "here"), asm.mov(R7, 1), here(asm.mov(R0, R7)), asm.exit_()),
        levels=(1, 2)),
    Refused("no_result", "uninitialised-register", lambda: P(asm.mov(R6, 0), here(asm.exit_()))),
    # Programs of who may do all read it since 6.3 (6715df8d5d24), which was carried back to 6.1.
    Refused("stack_unset", "uninitialised-stack", lambda: P(here(asm.ldx(8, R0, R10, -8)), *OUT), until=(6, 1)),
    Refused("stack_unset_argument", "uninitialised-stack", lambda: P(
        asm.mov(R2, R10), asm.add(R2, -4), asm.load_map_ptr(R1, "table"), here(asm.call_helper("map_lookup_elem")),
        *OUT), until=(6, 1)),
    # --- what must be given back ------------------------------------------------------------------------------------
    Refused("leak", "unreleased-reference", lambda: P(*reserved(), asm.mov(R0, 0), here(asm.exit_())), levels=(1, 2)),
    Refused("leak_by_tail_call", "unreleased-reference", lambda: P(
        asm.mov(R6, R1), *reserved(), asm.mov(R1, R6), asm.load_map_ptr(R2, "programs"), asm.mov(R3, 0),
        here(asm.call_helper("tail_call")), *OUT)),
    Refused("released_twice", "argument-type", lambda: P(
        *reserved(), asm.jeq(R0, 0, "out"), asm.mov(R6, R0), asm.mov(R1, R6), asm.mov(R2, 0),
        asm.call_helper("ringbuf_submit"), asm.mov(R1, R6), asm.mov(R2, 0), here(asm.call_helper("ringbuf_submit")),
        *OUT)),
    Refused("packet_checked_before_a_change", "scalar-as-pointer", lambda: P(
        asm.mov(R6, R1), asm.ldx(4, R7, R1, 76), asm.ldx(4, R3, R1, 80), asm.mov(R4, R7), asm.add(R4, 14),
        asm.jgt(R4, R3, "out"), asm.mov(R2, 14), asm.call_helper("skb_pull_data"), here(asm.ldx(1, R0, R7)), *OUT,
        type_=ProgramType.SCHED_CLS)),
    # --- calls ------------------------------------------------------------------------------------------------------
    Refused("unknown_helper", "unknown-helper", lambda: P(here(asm.call_helper(9999)), asm.exit_())),
    Refused("poison", "poison", lambda: P(asm.mov(R0, 0), here(asm.call_helper(POISON)), asm.exit_())),
    Refused("helper_of_others", "helper-not-allowed", lambda: P(
        asm.mov(R2, 0), here(asm.call_helper("xdp_adjust_head")), *OUT)),
    Refused("gpl_only", "gpl-only", lambda: P(
        asm.mov(R1, R10), asm.add(R1, -8), asm.mov(R2, 8), asm.mov(R3, 0), here(asm.call_helper("probe_read_kernel")),
        *OUT, type_=ProgramType.KPROBE, license_="MIT")),
    Refused("argument_number", "argument-type", lambda: P(
        asm.mov(R1, 0), here(asm.call_helper("map_lookup_elem")), *OUT)),
    Refused("argument_context", "argument-type", lambda: P(
        asm.mov(R2, R1), asm.load_map_ptr(R1, "table"), here(asm.call_helper("map_lookup_elem")), *OUT)),
    Refused("map_of_another_kind", "map-helper-mismatch", lambda: P(
        asm.st(4, R10, -4, 0), asm.mov(R2, R10), asm.add(R2, -4), asm.load_map_ptr(R1, "programs"),
        here(asm.call_helper("map_lookup_elem")), *OUT)),
    Refused("size_negative", "negative-size", lambda: P(
        asm.ldx(8, R2, R1, 0), asm.mov(R1, R10), asm.add(R1, -64), asm.jsgt(R2, 64, "out"), asm.mov(R3, 0),
        here(asm.call_helper("probe_read_kernel")), *OUT, type_=ProgramType.KPROBE)),
    Refused("size_unbounded", "unbounded-size", lambda: P(
        *found(), asm.mov(R1, R0), asm.ldx(4, R2, R6, 0), asm.mov(R3, 0), here(asm.call_helper("probe_read_kernel")),
        *OUT, type_=ProgramType.KPROBE)),
    Refused("size_too_large", "unbounded-size", lambda: P(
        asm.ldx(8, R2, R1, 0), asm.mov(R1, R10), asm.add(R1, -64), asm.lsh(R2, 3), asm.rsh(R2, 1), asm.mov(R3, 0),
        here(asm.call_helper("probe_read_kernel")), *OUT, type_=ProgramType.KPROBE)),
    Refused("size_zero", "zero-size", lambda: P(
        asm.mov(R2, 0), asm.mov(R3, R10), asm.add(R3, -8), asm.mov(R4, 0), here(asm.call_helper("skb_load_bytes")),
        *OUT)),
    Refused("no_map", "bad-map", lambda: P(here(asm.ld_imm64(R1, 9999).evolve(src=asm.Pseudo.MAP_FD)), *OUT)),
    Refused("legacy_load", "legacy-load", lambda: P(
        asm.mov(R6, R1), here(asm.ld_abs(4, 0)), asm.exit_(), type_=ProgramType.KPROBE)),
    # --- control flow -----------------------------------------------------------------------------------------------
    Refused("endless", "infinite-loop", lambda: P(
        asm.ldx(4, R6, R1, 0), asm.mov(R0, 0), here(asm.jgt(R6, 5, "here")), asm.exit_())),
    Refused("loop_without_privilege", "back-edge", lambda: P(
        asm.mov(R0, 0), asm.add(R0, 1).with_label("again"), here(asm.jlt(R0, 5, "again")), asm.exit_()),
        is_unprivileged=True),
    Refused("unreachable", "unreachable", lambda: P(asm.mov(R0, 0), asm.exit_(), here(asm.mov(R0, 1)), asm.exit_())),
    Refused("no_exit", "falls-off-the-end", lambda: P(asm.mov(R0, 0))),
    Refused("jump_out", "jump-out-of-range", lambda: P(asm.mov(R0, 0), here(asm.ja(100)), asm.exit_())),
    Refused("million", "too-complex", million, levels=(4,)),
    Refused("many_jumps", "too-many-jumps", many_jumps, levels=(4,)),
    Refused("deep_stack", "stack-limit", lambda: P(*nested(304, 304))),
    Refused("deep_tail_call", "tail-call", lambda: P(*nested(304, 8, last=(
        asm.load_map_ptr(R2, "programs"), asm.mov(R3, 0), asm.call_helper("tail_call"), asm.mov(R0, 0))))),
    Refused("recursion", "recursion", lambda: P(
        asm.call_function("again"), asm.exit_(), asm.call_function("again").with_symbol("again"), asm.exit_()),
        since=(7, 3), older="call-depth", exceptions={(5, 10): "back-edge", (6, 1): "back-edge"}),
    Refused("deep_calls", "call-depth", lambda: P(*nested(*[8] * 10)), until=(7, 3)),
    # --- values -----------------------------------------------------------------------------------------------------
    Refused("return_range", "return-range", lambda: P(
        asm.mov(R0, 7), here(asm.exit_()), type_=ProgramType.CGROUP_SKB, attach_type=AttachType.CGROUP_INET_INGRESS)),
    Refused("return_unknown", "return-range", lambda: P(
        asm.ldx(4, R0, R1, 0), here(asm.exit_()), type_=ProgramType.CGROUP_SKB,
        attach_type=AttachType.CGROUP_INET_INGRESS)),
    Refused("misaligned", "misaligned", lambda: P(here(asm.st(8, R10, -12, 0)), *OUT)),
    Refused("division_by_zero", "division-by-zero", lambda: P(asm.mov(R0, 4), here(asm.div(R0, 0)), asm.exit_())),
    Refused("shift", "shift-too-far", lambda: P(asm.mov(R0, 4), here(asm.lsh(R0, 64)), asm.exit_())),
    Refused("frame_pointer", "frame-pointer", lambda: P(here(asm.mov(R10, 1)), *OUT)),
    Refused("reserved_fields", "malformed", lambda: P(
        here(asm.Instruction(0xB7, dst=0, src=3, constant=1)), asm.exit_())),
    Refused("unknown_opcode", "malformed", lambda: P(asm.mov(R0, 0), here(asm.Instruction(0xF7, dst=0)), asm.exit_())),
    Refused("read_only_map", "map-forbids", lambda: P(*found("constants"), here(asm.st(8, R0, 0, 1)), *OUT)),
    Refused("write_only_map", "map-forbids", lambda: P(*found("sink"), here(asm.ldx(8, R0, R0)), *OUT)),
    Refused("kernel_memory_written", "kernel-memory", lambda: P(
        asm.ldx(8, R2, R1, 0), here(asm.st(4, R2, 0, 1)), *OUT, type_=ProgramType.TRACING,
        attach_type=AttachType.TRACE_RAW_TP, section="tp_btf/task_newtask", attach_to="task_newtask")),
    Refused("kernel_memory_beyond", "kernel-memory", lambda: P(
        asm.ldx(8, R2, R1, 0), here(asm.ldx(8, R0, R2, 32000)), *OUT, type_=ProgramType.TRACING,
        attach_type=AttachType.TRACE_RAW_TP, section="tp_btf/task_newtask", attach_to="task_newtask")),
    # --- in C -------------------------------------------------------------------------------------------------------
    in_c("spilled", "unchecked-null", "return *kept + now", levels=(1, 2)),
    in_c("index_from_packet", "unbounded-offset", "return value[at]"),
    in_c("in_a_function", "map-value-bounds", "return value[5]", levels=(1, 2)),
    in_c("lock_held", "lock-held"),
    in_c("call_under_lock", "lock-held", "bpf_get_prandom_u32"),
    in_c("kfunc_of_others", "kfunc-not-allowed", since=(6, 2), older="missing-kfunc"),
    in_c("not_trusted", "not-trusted", "bpf_task_acquire(other)", since=(6, 2), older="missing-kfunc"),
    in_c("task_leaked", "unreleased-reference", since=(6, 2), older="missing-kfunc"),
    in_c("task_not_checked", "unchecked-null", "task->pid", since=(6, 2), older="missing-kfunc"),
    in_c("rcu_held", "rcu-held", since=(6, 2), older="missing-kfunc"),
    in_c("iterator_not_made", "iterator", "next(&it)", since=(6, 4), older="missing-kfunc"),
    in_c("iterator_kept", "unreleased-reference", since=(6, 4), older="missing-kfunc"),
    in_c("dynptr_not_made", "dynptr", "bpf_dynptr_read(", since=(5, 19), older="unknown-helper"),
    in_c("dynptr_kept", "unreleased-reference", since=(5, 19), older="unknown-helper"),
    in_c("global_returns_pointer", "global-function"),
    in_c("global_takes_pointer", "unchecked-null", "pair->a + pair->b",
        since=(5, 13), older="global-function"),
    in_c("global_is_given_a_number", "global-arguments",
        "first((void *)(long)skb->len)", since=(5, 13), older="global-function"),
    in_c("loop_without_end", "infinite-loop"),
    in_c("may_sleep", "sleepable-only", "bpf_copy_from_user(", since=(5, 17), older="helper-not-allowed"),
    in_c("callback", "func-info", until=(5, 13)),
    in_c("weak_function_called", "missing-kfunc", "no_such_function(1)"),
)  # fmt: skip
