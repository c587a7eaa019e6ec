"""A long walk over a map leaves the loop to others."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from aiobpf import MapType
from aiobpf.btf import Int
from aiobpf.runtime import Map
from aiobpf.spec import MapSpec

pytestmark = [pytest.mark.root, pytest.mark.everywhere]

U32 = Int("unsigned int", 4)


async def test_other_tasks_have_their_turn_at_each_batch() -> None:
    spec = MapSpec(
        name="large", type=MapType.HASH, key_size=4, value_size=4, max_entries=4000, key=U32, value=U32
    )  # fmt: skip
    turns = 0
    batches: list[int] = []

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with Map.create(spec) as large:
        large.update_many((i, i) for i in range(4000))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            batches += [len(keys) async for keys, _ in large.batches(100)]
            tasks.cancel_scope.cancel()
    assert sum(batches) == 4000
    assert turns >= len(batches) - 1 >= 10
