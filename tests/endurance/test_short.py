"""The checks in their short form: seconds, where `python -m tests.endurance` takes minutes."""

from __future__ import annotations

import argparse

import pytest

from tests.endurance import events, streams

pytestmark = [pytest.mark.root, pytest.mark.slow]


def options_of(module: object, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_options(parser)  # type: ignore[attr-defined]
    return parser.parse_args(arguments)


@pytest.mark.asyncio
@pytest.mark.parametrize("buffer", ["ring", "perf"])
async def test_events_at_a_steady_rate_are_all_delivered_or_counted(buffer: str) -> None:
    pytest.importorskip("numpy")
    await events.check(options_of(events, "--seconds", "3", "--rate", "200000", "--buffer", buffer))


@pytest.mark.asyncio
async def test_a_buffer_that_is_too_small_loses_events_and_all_of_them_are_counted() -> None:
    pytest.importorskip("numpy")
    lines = await events.check(options_of(events, "--seconds", "2", "--rate", "200000", "--bytes", "4096"))
    assert "lost 0," not in lines[1]


@pytest.mark.asyncio
@pytest.mark.parametrize("how", [[], ["--merged"]])
async def test_64_streams_get_their_events_in_time_while_two_are_flooded(how: list[str]) -> None:
    await streams.check(options_of(streams, "--seconds", "2", "--patience", "2", *how))
