"""The verifier of the kernel at hand refuses programs, and each refusal explains itself."""

from __future__ import annotations

import random
import subprocess
import sys

import attrs
import pytest

from aiobpf import asm
from aiobpf.asm import R0, R1, R5, R6, R7, R8, R9, Instructions
from aiobpf.elf import read_spec
from aiobpf.errors import BpfError, NotSupportedError, UnresolvedSymbolError, VerifierError
from aiobpf.kernel.release import kernel_release
from aiobpf.runtime import LoadOptions, LogPolicy
from aiobpf.runtime.program_load import load_alone
from aiobpf.spec import EXTERN, ProgramSpec
from aiobpf.uapi import ProgramType
from aiobpf.verifier import Refusal, read_path
from tests.runtime.refused import OBJECT, PROGRAMS, Refused, compiled

pytestmark = pytest.mark.root


def refusal_of(spec: ProgramSpec, level: int = 1) -> VerifierError:
    with pytest.raises(VerifierError) as caught:
        load_alone(spec, LoadOptions(log=LogPolicy(level=level))).close()
    return caught.value


@pytest.mark.parametrize(
    "program", [pytest.param(program, id=program.name) for program in PROGRAMS if not program.is_unprivileged]
)
def test_the_kernel_refuses_it_for_the_cause_that_is_told(program: Refused) -> None:
    release = kernel_release()
    spec = program.make()
    if release >= program.until:
        load_alone(spec, LoadOptions()).close()
        return
    try:
        load_alone(spec, LoadOptions(log=LogPolicy(level=program.levels[0]))).close()
    except NotSupportedError:
        assert release < program.since or release < program.until < (99, 0), "this kernel is old for it"
        return
    except VerifierError as refusal:
        error = refusal
    else:
        pytest.fail("the kernel took it")
    assert error.cause == program.cause_on(release)
    assert error.hint
    assert error.explanation or error.cause in {"poison", "missing-kfunc"}
    if program.slot() is not None and error.instruction is not None:
        assert error.instruction == program.slot()
        assert error.disassembly
    if release >= program.since and program.source is not None:
        assert error.source is not None
        assert program.source in error.source
    assert error.reason in f"{error:full}"


def test_a_refusal_says_where_the_value_came_from() -> None:
    error = refusal_of(compiled("spilled"))
    assert error.cause == "unchecked-null"
    text = str(error)
    assert "return *kept + now;" in text
    assert "R1: from R0, the result of bpf_map_lookup_elem: a map value" in text
    assert "__u64 *value = bpf_map_lookup_elem(&numbers, &key);" in text
    assert error.registers["R1"].may_be_null
    assert error.path[-1].slot == error.instruction
    assert error.path[0].slot == 0
    assert error.statistics is not None
    assert error.statistics.instructions == len(error.path)
    (origin,) = error.origins
    assert [event.place for event in origin.events] == ["R1", "fp-64", "R6", "R0"]


def test_the_whole_story_has_the_steps_between_their_source_lines() -> None:
    error = refusal_of(compiled("spilled"))
    story = f"{error:full}"
    lines = [line.strip() for line in story.splitlines()]
    assert "r1 = *(u64 *)(r1 + 0)" in lines[_at(lines, "> 11:")]
    assert any(
        line.startswith("*  6: call bpf_map_lookup_elem#1") and "R0=map_value_or_null(" in line for line in lines
    )
    assert any(line.startswith("4: r1 = <numbers> ll") for line in lines)
    assert _at(lines, "refused.bpf.c") < _at(lines, "*  6:")
    assert any(line.startswith("10: R1 read back from the stack at fp-64") for line in lines)
    assert error.explain(steps=2).count("\n") < story.count("\n")


def _at(lines: list[str], start: str) -> int:
    return next(index for index, line in enumerate(lines) if line.startswith(start))


def test_the_called_function_is_named() -> None:
    error = refusal_of(compiled("in_a_function"))
    assert error.function == "third"
    assert "at instruction 12, in third()" in str(error)
    assert "call <third>" in error.explain()
    assert "argument 1 of the function that is called here" in error.explain()
    other = refusal_of(compiled("global_returns_pointer"))
    assert other.explanation is not None
    assert "gives_pointer()" in other.explanation


def test_a_kernel_function_that_is_missing_is_named() -> None:
    error = refusal_of(compiled("weak_function_called"))
    assert error.reason == "it calls the weak kernel function 'no_such_function', which this kernel does not have"
    assert error.source is not None
    assert "return no_such_function(1);" in error.source
    assert "bpf_ksym_exists(no_such_function)" in str(error)


def test_a_map_that_is_missing_is_named_with_the_line_that_asks_for_it() -> None:
    spec = read_spec(OBJECT.parent / "rejected.bpf.o").programs["accepted"]
    spec = attrs.evolve(compiled("spilled"), maps=spec.maps)
    with pytest.raises(UnresolvedSymbolError, match="'numbers', which is not there") as caught:
        load_alone(spec, LoadOptions())
    assert caught.value.symbol == "numbers"
    assert caught.value.source is not None
    assert "bpf_map_lookup_elem(&numbers, &key)" in caught.value.source
    assert caught.value.source in str(caught.value)


def test_a_strong_kernel_function_that_is_missing_is_named_with_the_line_that_calls_it() -> None:
    spec = compiled("weak_function_called")
    for index, extern in list(spec.instructions.with_key(EXTERN)):
        spec.instructions.set_metadata(index, EXTERN, attrs.evolve(extern, is_weak=False))
    with pytest.raises(UnresolvedSymbolError, match="no function 'no_such_function'") as caught:
        load_alone(spec, LoadOptions())
    assert caught.value.source is not None
    assert "return no_such_function(1);" in caught.value.source


def branching(seed: int) -> Instructions:
    """A program of jumps whose conditions are known at times, with a loop at times, and one place that is refused."""
    chance = random.Random(seed)
    length = chance.randrange(4, 14)
    jumps = (asm.jgt, asm.jlt, asm.jeq, asm.jset)
    body = []
    for i in range(length):
        match chance.randrange(6):
            case 0 | 1 | 2:
                target = f"l{chance.randrange(i + 1, length + 1)}"
                made = chance.choice(jumps)(chance.choice((R7, R8, R9)), chance.randrange(9), target)
            case 3:
                made = asm.add(R9, 1)
            case 4:
                made = asm.ldx(4, chance.choice((R7, R8)), R6, chance.choice((0, 8, 16)))
            case _:
                made = asm.mov(R9, chance.randrange(9))
        body.append(made.with_label(f"l{i}"))
    if chance.random() < 0.6:
        at = chance.randrange(length)
        body.insert(at, asm.jlt(R9, chance.randrange(1, 9), f"l{chance.randrange(at + 1)}"))
        body.insert(at, asm.add(R9, 1))
    wrong = asm.ldx(8, R0, R9, 0) if chance.random() < 0.5 else asm.mov(R0, R5)
    body.insert(chance.randrange(len(body) + 1), wrong)
    start = [asm.mov(R6, R1), asm.ldx(4, R7, R1, 0), asm.ldx(4, R8, R1, 8), asm.mov(R0, 0), asm.mov(R9, 0)]
    return Instructions([*start, *body, asm.mov(R0, 0).with_label(f"l{length}"), asm.exit_()])


def test_the_way_is_found_again_among_all_that_were_walked() -> None:
    """At level 1 the verifier itself takes back what it wrote of other ways; at level 2 it is for us to find."""
    compared = 0
    for seed in range(200):
        spec = ProgramSpec(
            name="branching", type=ProgramType.SOCKET_FILTER, license="GPL", instructions=branching(seed)
        )
        logs = []
        for level in (1, 2):
            try:
                load_alone(spec, LoadOptions(log=LogPolicy(level=level, always=True))).close()
            except VerifierError as error:
                logs.append(error.log)
        if len(logs) == 2:
            ways = [[step.slot for step in read_path(log).steps] for log in logs]
            assert ways[0] == ways[1], (seed, logs)
            assert Refusal(logs[0]).offending == Refusal(logs[1]).offending
            compared += 1
    assert compared > 100


def changed(spec: ProgramSpec, chance: random.Random) -> ProgramSpec | None:
    """*spec* with one instruction changed; None where that one has no room for the change."""
    spec = spec.copy()
    index = chance.randrange(len(spec.instructions))
    instruction = spec.instructions[index]
    if instruction.width != 1:
        return None
    offset = instruction.offset + chance.choice((8, -8, 512, -600))
    spec.instructions.replace_operation(
        index,
        chance.choice(
            (
                asm.mov(chance.choice((R0, R6, R7, R8)), chance.randrange(100)),
                instruction.evolve(offset=max(-0x8000, min(0x7FFF, offset))),
                instruction.evolve(src=chance.randrange(11)),
            )
        ),
    )
    return spec


def test_objects_with_an_instruction_changed_are_refused_for_reasons_that_are_known() -> None:
    chance = random.Random(1)
    names = ("subprograms", "globals", "ring_events", "refused", "rejected")
    programs = [spec for name in names for spec in read_spec(OBJECT.parent / f"{name}.bpf.o").programs.values()]
    compared, known = 0, 0
    for _ in range(250):
        spec = changed(chance.choice(programs), chance)
        if spec is None:
            continue
        errors: list[VerifierError] = []
        for level in (1, 2):
            try:
                load_alone(spec, LoadOptions(log=LogPolicy(level=level, always=True))).close()
            except VerifierError as error:
                errors.append(error)
            except BpfError:
                break
        if len(errors) == 2:
            ways = [[step.slot for step in error.path] for error in errors]
            assert ways[0] == ways[1], (spec, errors[0].log, errors[1].log)
            assert all(error.reason in error.explain() for error in errors)
            compared += 1
            known += errors[0].cause is not None
    assert compared > 50
    assert known > 0.95 * compared


LOAD = """
import sys
from aiobpf import asm
from aiobpf.runtime import LoadOptions
from aiobpf.runtime.program_load import load_alone
from aiobpf.spec import EXTERN, ProgramSpec
from aiobpf.uapi import ProgramType
code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()])
load_alone(ProgramSpec(name="p", type=ProgramType.XDP, license="GPL", instructions=code), LoadOptions()).close()
print([name for name in sys.modules if "verifier" in name])
"""


def test_a_program_that_loads_imports_nothing_of_this() -> None:
    assert subprocess.run([sys.executable, "-c", LOAD], check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("level", [1, 2])
def test_the_registers_are_known_at_every_level_of_every_kernel(level: int) -> None:
    program = next(program for program in PROGRAMS if program.name == "or_null_moved")
    error = refusal_of(program.make(), level)
    assert error.registers["R3"].type == "map_value_or_null"
    assert error.registers["R7"].may_be_null
    assert error.registers["R0"].value == 0
