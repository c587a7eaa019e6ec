"""The bundled exec monitor as an object file; nothing is loaded."""

from __future__ import annotations

import pytest

from aiobpf import CollectionSpec, read_spec
from aiobpf.btf import Struct, codec
from aiobpf.programs import EXEC_MONITOR, arguments


@pytest.fixture(params=["exec_monitor.bpf.o", "exec_monitor.eb.bpf.o"])
def spec(request: pytest.FixtureRequest) -> CollectionSpec:
    return read_spec(EXEC_MONITOR.with_name(request.param))


def test_it_needs_no_tracefs_and_names_its_events(spec: CollectionSpec) -> None:
    assert {name: program.section for name, program in spec.programs.items()} == {
        "on_exec": "tp_btf/sched_process_exec",
        "on_exit": "tp_btf/sched_process_exit",
    }
    event = spec.maps["events"].value
    assert isinstance(event, Struct)
    assert (event.name, event.size) == ("event", 832)
    assert codec(event).minimum_size == 316  # an exit's record ends before argv


def test_its_settings(spec: CollectionSpec) -> None:
    values = {name: variable.value for name, variable in spec.variables.items()}
    assert values == {"only_uid": -1, "min_duration_ns": 0, "enabled": True, "lost_events": 0}


@pytest.mark.parametrize(
    ("argv", "size", "expected"),
    [
        (b"", 0, []),
        (b"a\0b c\0\0\0", 6, ["a", "b c"]),
        (b"a\0\0b\0", 5, ["a", "", "b"]),
        (b"a\0bcdef", 4, ["a", "bc"]),  # cut in the middle of an argument
        (b"\xff\0", 2, [r"\xff"]),
    ],
)
def test_arguments_are_a_list(argv: bytes, size: int, expected: list[str]) -> None:
    assert arguments(argv, size) == expected
