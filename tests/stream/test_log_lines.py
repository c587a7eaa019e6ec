"""What lines of trace_pipe say."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobpf.stream.log_lines import LogLine, leveled, logging_level, lost_events, parse_trace_line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "           <...>-28576   [000] ...11 19222.123456: bpf_trace_printk: hello 7",
            LogLine("hello 7", logging.INFO, "<...>", 28576, 0, 19222123456000, "bpf_trace_printk"),
        ),
        (
            " my-thread name-12    [017] d..21    12.000001: bpf_trace_printk: <3>a: b: c",
            LogLine("a: b: c", logging.ERROR, "my-thread name", 12, 17, 12000001000, "bpf_trace_printk"),
        ),
        (
            "            bash-1  (      1) [001] d..2. 5.5: sched_switch: prev_comm=x",
            LogLine("prev_comm=x", logging.INFO, "bash", 1, 1, 5500000000, "sched_switch"),
        ),
        (
            "            bash-1     [001] 5.5: bpf_trace_printk: ",
            LogLine("", logging.INFO, "bash", 1, 1, 5500000000, "bpf_trace_printk"),
        ),
    ],
)
def test_a_line_is_a_message_with_its_place(line: str, expected: LogLine) -> None:
    assert parse_trace_line(line) == expected


def test_what_is_no_event_is_none() -> None:
    assert parse_trace_line("# tracer: nop") is None
    assert parse_trace_line("the second line of a message") is None


def test_losses_are_counted() -> None:
    assert lost_events("CPU:3 [LOST 123 EVENTS]") == 123
    assert lost_events("CPU:3 [LOST EVENTS]") == 1
    assert lost_events("a message") is None


def test_levels_are_the_kernels() -> None:
    assert leveled("<7>x") == ("x", logging.DEBUG)
    assert leveled("<8>x") == ("<8>x", logging.INFO)
    assert [logging_level(number) for number in (-1, 0, 3, 4, 6, 7, 99)] == [50, 50, 40, 30, 20, 10, 10]


@given(st.text())
def test_any_text_is_a_line_or_none(text: str) -> None:
    found = parse_trace_line(text)
    assert found is None or found.pid is not None
    lost_events(text)


@given(
    st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"]), max_size=15),
    st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"])),
)
def test_a_message_comes_back_whole(task: str, message: str) -> None:
    found = parse_trace_line(f"{task:>16}-42     [003] d..31   1.000002: bpf_trace_printk: {message}")
    assert found is not None
    assert found.message in {message, message[3:]}
    assert (found.cpu, found.time_ns) == (3, 1000002000)
