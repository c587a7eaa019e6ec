"""A process that loads and closes all day has at the end what it had in the morning."""

from __future__ import annotations

import pytest

from tests.endurance.collections import run

MEMORY_MORE = 2 << 20
"""Bytes that may come on top: arenas of malloc for threads, and the test's own list of ids."""


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.everywhere
async def test_two_hundred_collections_leave_no_descriptor_no_program_and_no_memory() -> None:
    before, after = await run(200)
    assert after.descriptors == before.descriptors
    assert after.memory - before.memory < MEMORY_MORE
