"""Plain lines, JSON lines and the live table, given events made by hand."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aiobpf.cli.exec_monitor import ExecFormat
from aiobpf.cli.formats import EventFormat, cell, duration, printable
from aiobpf.cli.table import LiveTable, shortened
from aiobpf.cli.tally import Count, Tally
from aiobpf.cli.views import JsonLines, PlainLines

if TYPE_CHECKING:
    from aiobpf.cli.formats import Format


def an_event(pid: int, comm: str, host: str, port: int) -> dict[str, Any]:
    """What a codec's jsonable gives."""
    return {
        "pid": pid, "comm": comm, "peer": {"host": host, "port": port},
        "verdict": "PASS", "ok": True, "samples": [1, 2],
    }  # fmt: skip


def as_it_is() -> EventFormat:
    return EventFormat(lambda value: value)


@define
class ExecEvent:
    kind: int
    pid: int
    time_ns: int = 0
    duration_ns: int = 0
    ppid: int = 1
    uid: int = 0
    exit_code: int = 0
    signal: int = 0
    core_dumped: bool = False
    argv_truncated: bool = False
    argv_size: int = 0
    comm: str = "sh"
    filename: str = ""
    argv: bytes = b""


def ran(pid: int, *argv: str, truncated: bool = False) -> ExecEvent:
    raw = b"".join(each.encode() + b"\0" for each in argv)
    return ExecEvent(
        0, pid, filename=f"/bin/{argv[0]}", argv=raw.ljust(512, b"\0"), argv_size=len(raw), argv_truncated=truncated
    )


def ended(pid: int, **fields: Any) -> ExecEvent:
    return ExecEvent(1, pid, duration_ns=820_000, **fields)


def lines_of(view_type: Any, formats: dict[str, Format], *shown: tuple[str, list[Any]]) -> list[str]:
    out = io.StringIO()
    view = view_type(formats, out)
    for name, events in shown:
        view.show(name, events)
    assert out.getvalue().endswith("\n")
    return out.getvalue().splitlines()


# --- records ----------------------------------------------------------------------------------------------------------


def test_an_event_is_one_json_object_a_line_with_its_map() -> None:
    shown = an_event(7, "sh", "::1", 80)
    (line,) = lines_of(JsonLines, {"events": as_it_is()}, ("events", [shown]))
    assert json.loads(line) == {"map": "events", **shown}


def test_a_member_called_map_gives_way_to_the_source() -> None:
    (line,) = lines_of(JsonLines, {"events": as_it_is()}, ("events", [{"map": 3, "pid": 1}]))
    assert json.loads(line) == {"map": "events", "map_": 3, "pid": 1}


def test_untyped_events_are_hex() -> None:
    (line,) = lines_of(JsonLines, {"raw": EventFormat()}, ("raw", [b"\x00\xab"]))
    assert json.loads(line) == {"map": "raw", "data": "00ab"}


def test_scalar_events_are_values() -> None:
    (line,) = lines_of(JsonLines, {"n": as_it_is()}, ("n", [5]))
    assert json.loads(line) == {"map": "n", "value": 5}


@given(st.text())
def test_no_text_reaches_a_terminal_with_control_characters(text: str) -> None:
    assert printable(text).isprintable()
    assert len(json.dumps({"x": text}).splitlines()) == 1


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0us"), (820_000, "820us"), (12_345_678, "12.3ms"), (999_900_000, "1s"), (4_560_000_000, "4.56s"),
     (59_990_000_000, "1m00s"), (192_000_000_000, "3m12s"), (7_500_000_000_000, "2h05m")],
)  # fmt: skip
def test_durations_are_short(ns: int, text: str) -> None:
    assert duration(ns) == text


def test_cells_are_short() -> None:
    assert [cell(value) for value in (None, True, False, 3, [1, "a\n"], [{"a": 1}])] == [
        "", "yes", "no", "3", r"1 a\n", "a=1",
    ]  # fmt: skip


# --- plain lines ------------------------------------------------------------------------------------------------------


def test_plain_lines_align_under_their_header() -> None:
    events = [an_event(7, "sh", "::1", 80), an_event(1234567, "systemd", "10.0.0.1", 65535)]
    header, first, second = lines_of(PlainLines, {"events": as_it_is()}, ("events", events))
    assert header.split() == ["pid", "comm", "peer.host", "peer.port", "verdict", "ok", "samples"]
    assert first.split() == ["7", "sh", "::1", "80", "PASS", "yes", "1", "2"]
    assert second.index("65535") == header.index("peer.port") + len("peer.port") - 5


def test_columns_stay_as_wide_as_they_have_been() -> None:
    wide, narrow = an_event(1, "x" * 20, "a", 1), an_event(1, "y", "a", 1)
    lines = lines_of(PlainLines, {"e": as_it_is()}, ("e", [wide, narrow, narrow]))
    assert len(lines[1]) == len(lines[2]) == len(lines[3])


def test_one_long_value_does_not_widen_the_rest() -> None:
    wide, narrow = an_event(1, "x" * 200, "a", 1), an_event(1, "y", "a", 1)
    lines = lines_of(PlainLines, {"e": as_it_is()}, ("e", [wide, narrow]))
    assert len(lines[2]) < 120


def test_with_several_maps_each_line_names_its_own() -> None:
    formats: dict[str, Format] = {"first": as_it_is(), "b": as_it_is()}
    lines = lines_of(PlainLines, formats, ("first", [{"x": 1}]), ("b", [{"y": 2}, {"y": 3}]), ("first", [{"x": 4}]))
    assert [line.split() for line in lines] == [
        ["MAP", "x"], ["first", "1"], ["MAP", "y"], ["b", "2"], ["b", "3"], ["MAP", "x"], ["first", "4"],
    ]  # fmt: skip


def test_no_events_write_nothing() -> None:
    out = io.StringIO()
    PlainLines({"e": as_it_is()}, out).show("e", [])
    assert not out.getvalue()


# --- the exec monitor -------------------------------------------------------------------------------------------------


def test_an_exit_carries_the_execution_that_it_ends() -> None:
    events = [ran(7, "echo", "a b", "c"), ended(7, exit_code=3)]
    first, second = map(json.loads, lines_of(JsonLines, {"events": ExecFormat()}, ("events", events)))
    assert first.keys() == second.keys()
    assert (first["kind"], first["argv"], first["exit_code"], first["duration_ns"]) == (
        "exec", ["echo", "a b", "c"], None, None,
    )  # fmt: skip
    assert (second["kind"], second["argv"], second["exit_code"], second["duration_ns"]) == (
        "exit", ["echo", "a b", "c"], 3, 820_000,
    )  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", second["time"])


def test_an_exit_whose_execution_was_lost_has_no_arguments() -> None:
    (line,) = lines_of(JsonLines, {"events": ExecFormat()}, ("events", [ended(7)]))
    assert json.loads(line)["argv"] is None


def test_plain_lines_of_the_monitor() -> None:
    events = [ran(7, "sh", "-c", "kill -9 $$\n", truncated=True), ended(7, signal=9), ended(8, signal=50)]
    header, *lines = lines_of(PlainLines, {"events": ExecFormat()}, ("events", events))
    assert header.split() == ["TIME", "EVENT", "PID", "PPID", "UID", "COMM", "EXIT", "DURATION", "FILENAME", "ARGV"]
    assert lines[0].endswith(r"/bin/sh                   sh -c 'kill -9 $$\n' ...")
    assert "SIGKILL     820us" in lines[1]
    assert lines[1].index("SIGKILL") == header.index("EXIT")
    assert "SIG50" in lines[2]


def test_an_argument_that_is_no_text_is_escaped() -> None:
    event = ExecEvent(0, 1, argv=b"a\0\xff\0\0", argv_size=5)
    assert ExecFormat().record(event)["argv"] == ["a", r"\xff", ""]


# --- the live table ---------------------------------------------------------------------------------------------------


def table_of(*shown: tuple[str, list[Any]], formats: dict[str, Format], width: int = 100, height: int = 12) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    view = LiveTable("test", formats, console)
    for name, events in shown:
        view.show(name, events)
    tally = Tally({name: Count(events=len(formats)) for name in formats})
    with console.capture() as capture:
        console.print(view.render(tally, height))
    text = capture.get()
    assert len(text.splitlines()) <= height
    assert all(len(line) <= width for line in text.splitlines())
    return text


def test_an_exit_completes_the_row_of_its_execution() -> None:
    text = table_of(
        ("events", [ran(7, "echo", "hi"), ran(8, "sleep", "9"), ended(7)]), formats={"events": ExecFormat()}, width=140
    )
    rows = [line.split() for line in text.splitlines() if "/bin/" in line]
    assert len(rows) == 2
    assert rows[0][1:] == ["exit", "7", "1", "0", "sh", "0", "820us", "/bin/echo", "echo", "hi"]
    assert rows[1][1:] == ["exec", "8", "1", "0", "sh", "/bin/sleep", "sleep", "9"]


@pytest.mark.parametrize("height", [1, 3, 4, 7, 50])
@pytest.mark.parametrize("width", [10, 40, 200])
def test_the_table_fits_any_terminal(width: int, height: int) -> None:
    events = [ran(pid, "echo", str(pid)) for pid in range(1000)]
    formats: dict[str, Format] = {"events": ExecFormat()}
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    view = LiveTable("test", formats, console)
    view.show("events", events)
    with console.capture() as capture:
        console.print(view.render(Tally({"events": Count()}), height), end="")
    lines = capture.get().splitlines()
    assert len(lines) <= max(height, 5)
    assert all(len(line) <= width for line in lines)


def test_the_latest_rows_are_shown() -> None:
    text = table_of(("e", [{"n": n} for n in range(1000)]), formats={"e": as_it_is()})
    assert "999" in text
    assert "900" not in text


@pytest.mark.parametrize(
    ("width", "missing"), [(180, []), (110, ["FILENAME"]), (80, ["FILENAME", "UID", "EVENT"]), (20, ["TIME", "PPID"])]
)
def test_a_narrow_terminal_leaves_out_what_can_be_spared(width: int, missing: list[str]) -> None:
    text = table_of(("events", [ran(7, "echo", "hi")]), formats={"events": ExecFormat()}, width=width)
    assert "PID" in text
    assert not [name for name in missing if f" {name} " in f" {text} "]


def test_a_wide_character_takes_two_cells() -> None:
    assert shortened("日本語", 6, to_right=False) == "日本語"
    assert shortened("日本語", 5, to_right=False) == "日本…"
    assert shortened("日", 4, to_right=True) == "  日"


def test_several_maps_share_the_screen() -> None:
    formats: dict[str, Format] = {"one": as_it_is(), "two": as_it_is()}
    text = table_of(("one", [{"a": n} for n in range(99)]), ("two", [{"b": "[bold]x"}]), formats=formats, height=20)
    assert "one" in text
    assert "[bold]x" in text  # what a process is named is no markup


# --- totals -----------------------------------------------------------------------------------------------------------


def test_totals_name_each_map_and_what_it_lost() -> None:
    tally = Tally({"events": Count(events=5), "drops": Count(events=2, lost=1)})
    assert re.fullmatch(r"0\.\d s: 5 events; 2 drops, 1 lost", tally.summary())
    assert Tally({"events": Count(events=5)}).summary().endswith("5 events; none lost")


def test_a_rate_is_over_the_last_seconds() -> None:
    count = Count()
    assert count.rate(0.0) == 0
    for second in range(1, 20):
        count.events += 10
        assert count.rate(float(second)) == pytest.approx(10)
