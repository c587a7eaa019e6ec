"""Every refusal that was written down is understood: cause, place, the way there, and where values came from."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from aiobpf.verifier import CAUSES, Refusal, read_path
from tests.verifier.corpus import BY_NAME, KERNELS, LOGS

# Found before or behind the walk, or with a log of statistics alone.
WITHOUT_WALK = {
    "unreachable", "no_exit", "jump_out", "million", "many_jumps", "deep_stack", "deep_calls", "unknown_opcode",
    "reserved_fields", "global_returns_pointer", "no_map", "deep_tail_call", "recursion",
    "loop_without_privilege", "callback",
}  # fmt: skip


def version(kernel: str) -> tuple[int, int]:
    major, minor = map(int, kernel.split("."))
    return major, minor


each_log = pytest.mark.parametrize(
    ("kernel", "name", "level"), [pytest.param(*key, id=f"{key[0]}: {key[1]}, level {key[2]}") for key in LOGS]
)


@each_log
def test_the_cause_and_the_place_of_every_refusal_are_known(kernel: str, name: str, level: int) -> None:
    program = BY_NAME[name]
    refusal = Refusal(LOGS[kernel, name, level])
    assert refusal.diagnosis is not None
    is_newer = version(kernel) >= program.since
    assert refusal.diagnosis.name == program.cause_on(version(kernel))
    assert refusal.diagnosis.explanation
    assert refusal.diagnosis.hint
    assert "{" not in refusal.diagnosis.explanation.replace("{}", "") + refusal.diagnosis.hint.replace("{}", "")
    if program.slot() is not None and refusal.verdict.slot is not None:
        assert refusal.verdict.slot == program.slot()
    if program.slot() is not None and name not in WITHOUT_WALK:
        assert refusal.verdict.slot == program.slot()
    if is_newer and program.source is not None and refusal.step is not None:
        sources = [step.source for step in refusal.near_path.steps if step.source]
        assert program.source in sources[-1]
    assert refusal.explain()


@each_log
def test_the_way_there_is_one_that_the_program_can_go(kernel: str, name: str, level: int) -> None:
    steps = Refusal(LOGS[kernel, name, level]).path.steps
    if name in WITHOUT_WALK or (version(kernel) < BY_NAME[name].since and BY_NAME[name].older == "global-function"):
        return
    assert steps
    returns: list[int] = []
    for step, following in pairwise(steps):
        assert step.next_slot == following.slot
        behind = step.slot + step.width
        if step.entered:
            returns.append(behind)
        elif step.text == "exit":
            assert following.slot == returns.pop()
        elif "goto" in step.text:
            distance = int(step.text.rpartition("pc")[2])
            assert following.slot == behind + distance or (step.text.startswith("if") and following.slot == behind)
        else:
            assert following.slot == behind


def test_both_levels_tell_the_same_way_and_registers() -> None:
    both = {(kernel, name) for kernel, name, level in LOGS if level == 2 and (kernel, name, 1) in LOGS}
    assert len(both) > 40
    for kernel, name in both:
        short, long = Refusal(LOGS[kernel, name, 1]), Refusal(LOGS[kernel, name, 2])
        assert [step.slot for step in short.path.steps] == [step.slot for step in long.path.steps], (kernel, name)
        assert set(short.registers) <= set(long.registers) | {"R1"}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_value_is_followed_through_spills_and_moves_to_the_lookup(kernel: str) -> None:
    for level in (1, 2):
        (origin,) = Refusal(LOGS[kernel, "or_null_moved", level]).origins
        told = [(event.step.slot if event.step else None, event.place, event.words) for event in origin.events]
        assert told[:3] == [
            (10, "R3", "copied from R7"),
            (9, "R7", "read back from the stack at fp-16"),
            (7, "fp-16", "stored from R0"),
        ]
        assert told[3][:2] == (6, "R0")
        assert told[3][2].startswith("the result of bpf_map_lookup_elem")
        assert len(told) == 4
        if kernel != "5.10" or level == 2:
            assert told[3][2].endswith("or NULL")


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_value_is_followed_into_a_function(kernel: str) -> None:
    (origin,) = Refusal(LOGS[kernel, "in_a_function", 2]).origins
    assert [event.words for event in origin.events[:2]] == [
        "argument 1 of the function that is called here",
        "copied from R0",
    ]
    assert origin.beginning is not None
    assert origin.beginning.words.startswith("the result of bpf_map_lookup_elem: a map value")


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_number_that_makes_an_offset_too_large_is_found(kernel: str) -> None:
    (origin,) = Refusal(LOGS[kernel, "map_value_index", 2]).origins
    told = {event.place: event.words for event in origin.events if event.is_beginning}
    assert told["R7"].startswith("read from the context, offset 0: a number from 0 to 0xffffffff")
    assert told["R0"].startswith("the result of bpf_map_lookup_elem")
    assert any(event.words == "changed: r7 &= 255, now a number from 0 to 255" for event in origin.events)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_register_that_a_call_took_says_so(kernel: str) -> None:
    (origin,) = Refusal(LOGS[kernel, "register_lost_in_call", 1]).origins
    assert [event.words for event in origin.events] == [
        "lost in the call of bpf_ktime_get_ns: R1 to R5 do not outlive a call"
    ]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_register_that_was_never_set_says_so(kernel: str) -> None:
    (origin,) = Refusal(LOGS[kernel, "register_unset_on_a_branch", 2]).origins
    assert [(event.step, event.words) for event in origin.events] == [(None, "never set on this way")]


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_not_released_names_who_acquired_it(kernel: str) -> None:
    (origin,) = Refusal(LOGS[kernel, "leak", 1]).origins
    assert origin.events[0].step is not None
    assert origin.events[0].step.slot == 4
    assert "bpf_ringbuf_reserve" in origin.events[0].words


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_registers_at_the_failure_are_known(kernel: str) -> None:
    registers = Refusal(LOGS[kernel, "or_null_moved", 2]).registers
    assert registers["R3"].may_be_null
    assert registers["R3"].type == "map_value_or_null"
    assert registers["R3"].number("vs") == 8
    assert registers["R3"].id == registers["R7"].id is not None
    assert registers["R0"].value == 0
    assert registers["R10"].type == "fp"
    assert "R1" not in registers, "the lookup took it"


def test_every_row_of_the_table_is_a_whole_sentence_and_names_a_rule() -> None:
    for cause in CAUSES:
        assert cause.name == cause.name.lower()
        assert not cause.explanation.endswith(".")
        assert not cause.hint.endswith(".")
    assert len({cause.name for cause in CAUSES}) >= 40


def test_every_cause_is_in_the_documentation_and_proved_by_a_program() -> None:
    names = {cause.name for cause in CAUSES}
    page = (Path(__file__).parent.parent.parent / "docs" / "verifier.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \|", page.partition("## Causes")[2], re.MULTILINE)) == names | {"cause"}
    refused = {diagnosis.name for log in LOGS.values() if (diagnosis := Refusal(log).diagnosis) is not None}
    assert names - refused == set()


@pytest.mark.parametrize("kernel", KERNELS)
def test_most_rules_are_proved_by_a_program_that_the_kernel_refused(kernel: str) -> None:
    diagnoses = [Refusal(log).diagnosis for key, log in LOGS.items() if key[0] == kernel]
    assert len({diagnosis.name for diagnosis in diagnoses if diagnosis is not None}) >= 38


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_last_steps_alone_are_the_end_of_the_whole_way(kernel: str) -> None:
    log = LOGS[kernel, "packet_checked_too_little", 2]
    whole = read_path(log)
    assert whole.is_whole
    for count in range(1, len(whole.steps)):
        part = read_path(log, count)
        assert [step.slot for step in part.steps] == [step.slot for step in whole.steps[-count:]]
        assert not part.is_whole
