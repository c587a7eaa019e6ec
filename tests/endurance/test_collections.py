"""A process that loads and closes all day has at the end what it had in the morning."""

from __future__ import annotations

import pytest

from tests.endurance import collections
from tests.endurance.test_short import options_of


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.everywhere
async def test_two_hundred_collections_leave_no_descriptor_no_program_and_no_memory() -> None:
    await collections.check(options_of(collections))
