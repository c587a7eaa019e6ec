"""Would this object load on those kernels? Everything that it needs, asked of each kernel's BTF.

Sans-IO: a spec and kernels in, a report out. Nothing is asked of the machine at hand, so it takes no privilege and
answers for kernels of other machines and byte orders.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, final

import attrs

from aiobpf.asm.newer_instructions import NEWER_INSTRUCTIONS
from aiobpf.asm.opcodes import LD_IMM64
from aiobpf.asm.references import REFERENCE
from aiobpf.btf import LINE, CoreRelocator
from aiobpf.compatibility.externs import NEEDS, ExternAnswers, frozen_memories
from aiobpf.compatibility.flags import map_flags, program_flags
from aiobpf.compatibility.instruction_set import knows
from aiobpf.compatibility.reachability import Budget, Constants, Reach, Refused, reach
from aiobpf.compatibility.relocations import relocate_each
from aiobpf.compatibility.report import Finding, KernelReport, Need, Report, Stage, Status, worst
from aiobpf.compatibility.targets import attach_target
from aiobpf.compatibility.types import (
    attach_type,
    has_helper,
    helper_calls,
    helper_subject,
    map_type,
    program_type,
)
from aiobpf.compatibility.values import Place
from aiobpf.elf import read_spec
from aiobpf.errors import SpecError
from aiobpf.spec import EXTERN, CollectionSpec, ExternKind
from aiobpf.spec.kconfig import KCONFIG
from aiobpf.spec.struct_ops_plan import StructOpsPlan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from os import PathLike

    from aiobpf.asm import Instructions
    from aiobpf.asm.newer_instructions import NewerInstruction
    from aiobpf.btf import Line
    from aiobpf.compatibility.kernel import TargetKernel
    from aiobpf.compatibility.reachability import Memory
    from aiobpf.compatibility.relocations import Relocated
    from aiobpf.compatibility.values import Value
    from aiobpf.spec import Extern, MapSpec, ProgramSpec


def check(
    source: CollectionSpec | str | PathLike[str] | bytes,
    kernels: TargetKernel | Iterable[TargetKernel],
    *,
    programs: Collection[str] | None = None,
) -> Report:
    """What each of *kernels* says to everything that *source* needs: a spec, or an object file as `read_spec` takes it.

    All programs that a load would load (those of sections with "?" are left out), or *programs*; all maps. Constants of
    the spec count: a variable in .rodata that is set before decides which code is reached. Raises SpecError for a
    program that is not there, and what `read_spec` raises.
    """
    from aiobpf.compatibility.kernel import TargetKernel

    spec = source if isinstance(source, CollectionSpec) else read_spec(source)
    unknown = [name for name in programs or () if name not in spec.programs]
    if unknown:
        raise SpecError(f"the object has no program {', '.join(map(repr, sorted(unknown)))}")
    plan = StructOpsPlan.of(spec, None if programs is None else frozenset(programs))
    chosen = [
        plan.placed(program)
        for name, program in spec.programs.items()
        if (plan.loads(program) if programs is None else name in programs)
    ]
    maps = [map_ for map_ in spec.maps.values() if plan.makes(map_)]
    targets = [kernels] if isinstance(kernels, TargetKernel) else kernels
    return Report(tuple(_KernelCheck(spec, chosen, maps, kernel).report() for kernel in targets))


@final
class _KernelCheck:
    """One object against one kernel."""

    def __init__(
        self, spec: CollectionSpec, programs: list[ProgramSpec], maps: list[MapSpec], kernel: TargetKernel
    ) -> None:
        self._spec = spec
        self._programs = programs
        self._maps = maps
        self._kernel = kernel
        self._externs = ExternAnswers(spec.externs.values(), kernel, spec.byte_order)
        self._memories = frozen_memories(spec.maps)
        if KCONFIG in spec.maps:
            self._memories[KCONFIG] = self._externs.configuration(spec.maps[KCONFIG].value_size, spec.externs.values())
        self._budget = Budget()
        # One for all programs, as a load has it: what one relocation finds out narrows the candidates of the next.
        self._relocator = CoreRelocator(
            [kernel.btf],
            more_targets=lambda: list((kernel.modules or {}).values()),
            byte_order=spec.byte_order,
        )

    def report(self) -> KernelReport:
        spec, kernel = self._spec, self._kernel
        findings: list[Finding] = []
        verdicts = {}
        if kernel.btf.byte_order != spec.byte_order:
            reason = f"the object is {spec.byte_order}-endian, the kernel {kernel.btf.byte_order}-endian"
            findings.append(Finding(Need.BYTE_ORDER, f"{spec.byte_order}-endian", Status.MISSING, reason=reason))
            verdicts = {program.name: findings[0].verdict for program in self._programs}
        else:
            for map_ in self._maps:
                findings += map_type(map_, kernel)
                findings += map_flags(map_, kernel)
            findings += self._other_options()
            for program in self._programs:
                checked = _ProgramCheck(program, kernel, self._externs, self._memories, self._relocator, self._budget)
                found = list(checked.findings())
                verdicts[program.name] = worst(each.verdict for each in found)
                findings += found
        return KernelReport(kernel.name, kernel.version, kernel.btf.byte_order, verdicts, tuple(findings))

    def _other_options(self) -> Iterator[Finding]:
        """Configuration values that no program refers to: the map that holds all is filled nevertheless."""
        asked = {extern.name for program in self._programs for _, extern in program.instructions.with_key(EXTERN)}
        for extern in self._spec.externs.values():
            if extern.kind is ExternKind.KCONFIG and extern.name not in asked:
                answer = self._externs[extern]
                yield Finding(
                    Need.KCONFIG, extern.name, answer.status, answer.stage, answer=answer.answer, reason=answer.reason,
                    map=KCONFIG,
                )  # fmt: skip


@final
class _ProgramCheck:
    """One program against one kernel."""

    def __init__(
        self,
        spec: ProgramSpec,
        kernel: TargetKernel,
        externs: ExternAnswers,
        memories: dict[str, Memory],
        relocator: CoreRelocator,
        budget: Budget,
    ) -> None:
        self._spec = spec
        self._budget = budget
        self._kernel = kernel
        self._externs = externs
        self._memories = memories
        self._code = spec.instructions.copy()
        self._relocated = relocate_each(self._code, relocator)
        self._refused_calls = externs.refused_calls(self._code)
        self._helpers = helper_calls(self._code)
        self._lines = _Lines(spec.instructions)
        self._poison = {each.slot: spec.instructions.at_slot(each.slot) for each in self._relocated if each.is_poisoned}
        refused = {slot: Refused(each.dst, each.width) for slot, each in self._poison.items()}
        for slot, number in self._helpers.items():
            if slot not in refused and has_helper(number, kernel) is False:
                refused[slot] = Refused()
        self._newer: list[tuple[NewerInstruction, bool | None, list[int]]] = []
        for kind in NEWER_INSTRUCTIONS:
            slots = [self._code.slot_of(index) for index in kind.find(self._code)]
            if slots:
                known = knows(kind, kernel)
                self._newer.append((kind, known, slots))
                if known is False and not kind.is_seen_anywhere:
                    refused |= {slot: Refused(self._code.at_slot(slot).dst) for slot in slots}
        self._reach = self._walk(refused | dict.fromkeys(self._refused_calls, Refused()))

    def _walk(self, refused: dict[int, Refused]) -> dict[int, Reach]:
        if not refused:
            return {}
        constants = Constants(
            loads=self._externs.loads(self._code) | self._data_loads(),
            memories=self._memories,
            refused=refused,
            byte_order=self._spec.byte_order,
            is_lazy=self._kernel.verifies_lazily,
        )
        return reach(self._code, constants, self._budget)

    def _data_loads(self) -> dict[int, Value]:
        """Addresses of constants."""
        return {
            slot: Place(reference.name, self._code.at_slot(slot).constant >> 32)
            for slot, reference in self._code.with_key_by_slot(REFERENCE)
            if reference.name in self._memories
            and reference.name != KCONFIG
            and self._code.at_slot(slot).opcode == LD_IMM64
        }

    def findings(self) -> Iterator[Finding]:
        spec, kernel = self._spec, self._kernel
        yield program_type(spec, kernel)
        yield from attach_type(spec, kernel)
        yield from program_flags(spec, kernel)
        yield from attach_target(spec, kernel)
        yield from self._extern_findings()
        yield from self._helper_findings()
        yield from self._instruction_findings()
        for each in self._relocated:
            yield self._relocation(each)

    def _relocation(self, each: Relocated) -> Finding:
        status, reason = Status.RESOLVED, ""
        if each.error:
            status, reason = Status.MISSING, each.error
        elif each.is_poisoned:
            status, reason = self._poisoned(each.slot)
        elif each.is_absent:
            status = Status.ABSENT
        found = self._finding(Need.RELOCATION, each.subject, status, each.slot, each.answer, reason)
        return attrs.evolve(found, question=each.question)

    def _poisoned(self, slot: int) -> tuple[Status, str]:
        """What becomes of an instruction that this kernel refuses."""
        found = self._reach.get(slot, Reach.UNDECIDED)
        if found is Reach.NEVER:
            return Status.GUARDED, ""
        if found is Reach.CERTAIN:
            return Status.MISSING, "it is not there, and the code that needs it is reached"
        return Status.UNKNOWN, "it is not there, and whether the code that needs it is reached is not known"

    def _helper_findings(self) -> Iterator[Finding]:
        first: dict[tuple[int, Status], Finding] = {}
        for slot, number in self._helpers.items():
            if slot in self._poison:
                continue
            has = has_helper(number, self._kernel)
            if has:
                status, reason = Status.RESOLVED, ""
            elif has is None:
                status, reason = Status.UNKNOWN, "its BTF has no enum bpf_func_id"
            else:
                status, reason = self._poisoned(slot)
            if (number, status) not in first:
                first[number, status] = self._finding(
                    Need.HELPER, helper_subject(number), status, slot, str(number) if has else "", reason
                )
        yield from first.values()

    def _instruction_findings(self) -> Iterator[Finding]:
        """Of each kind of newer instructions, the worst."""
        for kind, known, slots in self._newer:
            status, slot = Status.RESOLVED, slots[0]
            reason = f"instructions since Linux {kind.since}" + (f"; {kind.hint}" if kind.hint else "")
            if known is None:
                status = Status.UNKNOWN
            elif not known and kind.is_seen_anywhere:
                status = Status.MISSING
            elif not known:
                worst_of = (Reach.CERTAIN, Reach.UNDECIDED, Reach.NEVER)
                slot = min(slots, key=lambda each: worst_of.index(self._reach[each]))
                status, _ = self._poisoned(slot)
            yield self._finding(Need.INSTRUCTION, kind.words, status, slot, "", "" if known else reason)

    def _extern_findings(self) -> Iterator[Finding]:
        seen: set[str] = set()
        for slot, extern in self._externs.of(self._code):
            if extern.name in seen:
                continue
            seen.add(extern.name)
            answer = self._externs[extern]
            found = self._finding(NEEDS[extern.kind], extern.name, answer.status, slot, answer.answer, answer.reason)
            found = attrs.evolve(found, stage=answer.stage)
            if not answer.is_callable:
                found = self._called(extern, found)
            yield found

    def _called(self, extern: Extern, found: Finding) -> Finding:
        """A function that may not be called, in the light of its calls: the worst of them."""
        calls = [slot for slot, each in self._refused_calls.items() if each.name == extern.name]
        for wanted in (Reach.CERTAIN, Reach.UNDECIDED):
            for slot in calls:
                if self._reach.get(slot) is wanted:
                    status, reason = self._poisoned(slot)
                    return attrs.evolve(
                        found, status=status, stage=Stage.LOAD, reason=found.reason or reason,
                        slot=slot, source=self._lines.at(slot),
                    )  # fmt: skip
        return found if found.status is Status.ABSENT else attrs.evolve(found, status=Status.GUARDED)

    def _finding(self, need: Need, subject: str, status: Status, slot: int, answer: str, reason: str) -> Finding:
        return Finding(
            need,
            subject,
            status,
            answer=answer,
            reason=reason,
            program=self._spec.name,
            slot=slot,
            source=self._lines.at(slot),
        )


@final
class _Lines:
    """The source lines of a program, by slot."""

    def __init__(self, instructions: Instructions) -> None:
        self._lines: list[tuple[int, Line]] | None = None
        self._instructions = instructions

    def at(self, slot: int) -> str | None:
        if self._lines is None:
            self._lines = list(self._instructions.with_key_by_slot(LINE))
        index = bisect_right(self._lines, slot, key=lambda each: each[0]) - 1
        if index < 0:
            return None
        line = self._lines[index][1]
        return f"{line.file_name.rsplit('/', 1)[-1]}:{line.line}  {line.text.strip()}"
