"""Where a value came from: followed backwards, it is where following all values forwards puts it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.verifier import Refusal

REGISTERS = st.integers(0, 9)
SLOTS = st.sampled_from([-8, -16, -24])
OPERATIONS = st.one_of(
    st.tuples(st.just("constant"), REGISTERS),
    st.tuples(st.just("move"), REGISTERS, REGISTERS),
    st.tuples(st.just("change"), REGISTERS),
    st.tuples(st.just("spill"), SLOTS, REGISTERS),
    st.tuples(st.just("fill"), REGISTERS, SLOTS),
    st.tuples(st.just("load"), REGISTERS, st.integers(6, 9)),
    st.tuples(st.just("call")),
)
AT_ENTRY = -1


def followed_forwards(operations: list[tuple[str | int, ...]]) -> tuple[list[str], dict[int, int]]:
    """The program as the verifier prints it, and for each register the step at which its value began."""
    begins: dict[int, int] = dict.fromkeys(range(10), AT_ENTRY)
    stack: dict[int, int] = dict.fromkeys((-8, -16, -24), AT_ENTRY)
    texts = []
    for index, operation in enumerate(operations):
        match operation:
            case ("constant", int(dst)):
                texts.append(f"(b7) r{dst} = {index}")
                begins[dst] = index
            case ("move", int(dst), int(src)):
                texts.append(f"(bf) r{dst} = r{src}")
                begins[dst] = begins[src]
            case ("change", int(dst)):
                texts.append(f"(07) r{dst} += 1")
            case ("spill", int(slot), int(src)):
                texts.append(f"(7b) *(u64 *)(r10 {slot}) = r{src}")
                stack[slot] = begins[src]
            case ("fill", int(dst), int(slot)):
                texts.append(f"(79) r{dst} = *(u64 *)(r10 {slot})")
                begins[dst] = stack[slot]
            case ("load", int(dst), int(base)):
                texts.append(f"(79) r{dst} = *(u64 *)(r{base} +0)")
                begins[dst] = index
            case _:
                texts.append("(85) call bpf_ktime_get_ns#5")
                begins |= dict.fromkeys(range(6), index)
    return texts, begins


@given(st.lists(OPERATIONS, max_size=12), REGISTERS)
def test_a_value_is_followed_back_to_where_it_began(operations: list[tuple[str | int, ...]], register: int) -> None:
    texts, begins = followed_forwards(operations)
    lines = ["0: R1=ctx() R10=fp0", *(f"{slot}: {text}" for slot, text in enumerate(texts))]
    lines.append(f"{len(texts)}: (7a) *(u64 *)(r{register} +0) = 0")
    (origin,) = Refusal("\n".join([*lines, f"R{register} invalid mem access 'scalar'"])).origins
    assert origin.beginning is not None
    assert origin.beginning.index == begins[register]
    assert [event.index for event in origin.events] == sorted((event.index for event in origin.events), reverse=True)


FRAME = "0: R1=ctx() R10=fp0\n"


@pytest.mark.parametrize(
    ("log", "events"),
    [
        (  # through a function of the program: its result is what it returns
            "0: (b7) r6 = 7 ; R6=7\n1: (85) call pc+2\ncaller:\n R6=7 R10=fp0\ncallee:\n frame1: R1=ctx() R10=fp0\n"
            "4: (b7) r6 = 1 ; frame1: R6=1\n5: (bf) r0 = r6 ; frame1: R0=1 R6=1\n6: (95) exit\n"
            "returning from callee:\n frame1: R0=1 R6=1 R10=fp0\nto caller at 2:\n R0=1 R6=7 R10=fp0\n"
            "2: (79) r0 = *(u64 *)(r0 +0)\nR0 invalid mem access 'scalar'\n",
            [(6, "R0", "returned by a function"), (5, "R0", "copied from R6"), (4, "R6", "set to the number 1")],
        ),
        (  # past a function of the program: R6 is the caller's own
            "0: (b7) r6 = 7 ; R6=7\n1: (85) call pc+2\ncaller:\n R6=7 R10=fp0\ncallee:\n frame1: R1=ctx() R10=fp0\n"
            "4: (b7) r6 = 1 ; frame1: R6=1\n5: (b7) r0 = 0 ; frame1: R0=0\n6: (95) exit\n"
            "returning from callee:\n frame1: R0=0 R6=1 R10=fp0\nto caller at 2:\n R0=0 R6=7 R10=fp0\n"
            "2: (79) r0 = *(u64 *)(r6 +0)\nR6 invalid mem access 'scalar'\n",
            [(0, "R6", "set to the number 7")],
        ),
        (  # an argument does not outlive the call of a function either
            "0: (b7) r2 = 7 ; R2=7\n1: (85) call pc+2\ncallee:\n frame1: R2=7 R10=fp0\n"
            "4: (b7) r0 = 0 ; frame1: R0=0\n5: (95) exit\nreturning from callee:\n frame1: R0=0\n"
            "to caller at 2:\n R0=0 R10=fp0\n2: (bf) r0 = r2\nR2 !read_ok\n",
            [(1, "R2", "lost in the call of a function of the program: R1 to R5 do not outlive a call")],
        ),
        (  # a slot of the stack that is written by way of another register
            "0: (bf) r2 = r10 ; R2=fp0 R10=fp0\n1: (07) r2 += -16 ; R2=fp-16\n"
            "2: (7b) *(u64 *)(r2 +0) = r1 ; fp-16=ctx()\n"
            "3: (79) r3 = *(u64 *)(r10 -16) ; R3=ctx()\n4: (79) r0 = *(u64 *)(r3 +4096)\n"
            "invalid bpf_context access off=4096 size=8\n",
            [
                (3, "R3", "read back from the stack at fp-16"),
                (2, "fp-16", "stored from R1"),
                (-1, "R1", "the context, as the program was given it"),
            ],
        ),
        (  # what a helper wrote to the stack
            "0: (bf) r1 = r10 ; R1=fp0\n1: (07) r1 += -8 ; R1=fp-8\n2: (b7) r2 = 8 ; R2=8\n"
            "3: (85) call bpf_get_current_comm#16 ; R0=scalar() fp-8=mmmmmmmm\n"
            "4: (79) r3 = *(u64 *)(r10 -8) ; R3=scalar()\n"
            "5: (79) r0 = *(u64 *)(r3 +0)\nR3 invalid mem access 'scalar'\n",
            [(4, "R3", "read back from the stack at fp-8"), (3, "fp-8", "written by bpf_get_current_comm")],
        ),
        (  # a sample is gone once it is submitted, though the log shows it only when it is used again
            "0: (85) call bpf_ringbuf_reserve#131 ; R0=ringbuf_mem(ref_obj_id=2,sz=8)\n"
            "1: (bf) r6 = r0 ; R6=ringbuf_mem(ref_obj_id=2,sz=8)\n2: (bf) r1 = r6 ; R1=ringbuf_mem(ref_obj_id=2,sz=8)\n"
            "3: (85) call bpf_ringbuf_submit#132 ;\n4: (7a) *(u64 *)(r6 +0) = 0\nR6 invalid mem access 'scalar'\n",
            [
                (3, "R6", "released by bpf_ringbuf_submit: no pointer any more"),
                (1, "R6", "copied from R0"),
                (0, "R0", "the result of bpf_ringbuf_reserve: a ring buffer's sample"),
            ],
        ),
    ],
)  # fmt: skip
def test_the_events_are_told(log: str, events: list[tuple[int, str, str]]) -> None:
    (origin,) = Refusal(FRAME + log).origins
    slots = [(event.step.slot if event.step else -1, event.place, event.words) for event in origin.events]
    assert slots == events


def test_a_way_whose_beginning_is_not_known_says_nothing_of_the_start() -> None:
    log = "from 7 to 9: R1=ctx() R6=1 R10=fp0\n9: (79) r0 = *(u64 *)(r6 +0)\nR6 invalid mem access 'scalar'\n"
    refusal = Refusal(log)
    assert not refusal.path.is_whole
    assert refusal.origins == ()
