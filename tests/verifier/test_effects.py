"""What an instruction reads and writes, by the words that kernels print for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.verifier import Action, effect_of
from tests.verifier.corpus import LOGS


@pytest.mark.parametrize(
    ("text", "action", "dst", "source", "reads"),
    [
        ("r2 = r10", Action.MOVE, 2, 10, (10,)),
        ("w3 = w1", Action.MOVE, 3, 1, (1,)),
        ("r1 = (s8)r2", Action.MOVE, 1, 2, (2,)),
        ("r1 = -r1", Action.CHANGE, 1, None, (1,)),
        ("r1 = be16 r1", Action.CHANGE, 1, None, (1,)),
        ("r0 = addr_space_cast(r1, 0, 1)", Action.MOVE, 0, 1, (1,)),
        ("r2 += -4", Action.CHANGE, 2, None, (2,)),
        ("w2 s>>= w3", Action.CHANGE, 2, 3, (2, 3)),
        ("r2 %= r3", Action.CHANGE, 2, 3, (2, 3)),
        ("r1 = 4660", Action.CONSTANT, 1, None, ()),
        ("r1 = 0xffff8881043c0000", Action.CONSTANT, 1, None, ()),
        ("r0 = *(u64 *)(r1 +8)", Action.LOAD, 0, None, (1,)),
        ("r0 = *(s32 *)(r10 -8)", Action.LOAD, 0, None, (10,)),
        ("r0 = load_acquire((u64 *)(r1 +0))", Action.LOAD, 0, None, (1,)),
        ("*(u64 *)(r10 -8) = r6", Action.STORE, None, 6, (10, 6)),
        ("*(u32 *)(r10 -4) = 0", Action.STORE, None, None, (10,)),
        ("lock *(u64 *)(r0 +0) += r1", Action.ATOMIC, None, 1, (0, 1)),
        ("store_release((u64 *)(r1 +0), r2)", Action.ATOMIC, None, 2, (1, 2)),
        ("r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)", Action.ATOMIC, 2, None, (2, 1)),
        ("call bpf_map_lookup_elem#1", Action.CALL, 0, None, (1, 2, 3, 4, 5)),
        ("call pc+3", Action.CALL, 0, None, (1, 2, 3, 4, 5)),
        ("if r1 > 0x5 goto pc-1", Action.JUMP, None, None, (1,)),
        ("if w1 s< w2 goto pc+4", Action.JUMP, None, None, (1, 2)),
        ("goto pc+1", Action.JUMP, None, None, ()),
        ("r0 = *(u32 *)skb[12]", Action.PACKET, 0, None, (6,)),
        ("exit", Action.EXIT, None, None, (0,)),
    ],
)
def test_an_instruction_reads_and_writes(
    text: str, action: Action, dst: int | None, source: int | None, reads: tuple[int, ...]
) -> None:
    effect = effect_of(text)
    assert (effect.action, effect.dst, effect.source, effect.reads) == (action, dst, source, reads)


def test_an_access_to_memory_says_where() -> None:
    for text in ("r0 = *(u32 *)(r7 -12)", "*(u32 *)(r7 -12) = r1", "lock *(u32 *)(r7 -12) |= w1"):
        effect = effect_of(text)
        assert (effect.base, effect.offset, effect.size) == (7, -12, 4)


def test_every_instruction_of_the_real_logs_is_known() -> None:
    from aiobpf.verifier import read_path

    texts = {step.text for log in LOGS.values() for step in read_path(log).steps}
    assert len(texts) > 100
    assert [text for text in texts if effect_of(text).action is Action.OTHER] == []


@given(st.text() | st.text(alphabet="r0123=+-*(u64 )lock,w", max_size=60))
def test_any_text_gives_an_effect(text: str) -> None:
    assert all(0 <= register <= 10 for register in effect_of(text).reads)
