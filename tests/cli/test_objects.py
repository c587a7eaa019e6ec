"""``aiobpf prog``, ``map``, ``link`` and ``btf``: what the kernel has, beside what bpftool says of it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aiobpf import kernel
from aiobpf.cli.commands import main
from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.elf import read_spec
from aiobpf.link import RawTracepoint
from aiobpf.runtime import Map
from aiobpf.runtime.map_create import create_map
from aiobpf.spec import MapSpec
from aiobpf.uapi import MapType
from tests.elf.conftest import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.collection.load import Loaded

pytestmark = pytest.mark.root


@pytest.fixture
def loaded() -> Iterator[Loaded]:
    found = load_collection(read_spec(OBJECTS / "reload_first.bpf.o"), LoadPlan())
    found.maps["flows"][7] = {"count": 1, "bytes": 2}
    yield found
    found.close()


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``asked("map", "list")``: what the command prints; *status* is its exit status."""

    def ask(*arguments: object, status: int = 0) -> str:
        assert main([str(each) for each in arguments]) == status, capsys.readouterr().err
        out, err = capsys.readouterr()
        return err if status else out

    return ask


def bpftool(*arguments: object) -> Any:
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed")
    shown = subprocess.run(["bpftool", "-j", *map(str, arguments)], capture_output=True, check=True)
    return json.loads(shown.stdout)


def program_id(loaded: Loaded, name: str) -> int:
    return kernel.program_info(loaded.programs[name]).id


def map_id(loaded: Loaded, name: str) -> int:
    return loaded.maps[name].info().id


def test_programs_are_listed_with_what_bpftool_says_of_them(loaded: Loaded, asked: Callable[..., str]) -> None:
    found = {each["id"]: each for each in json.loads(asked("prog", "list", "--json"))}
    for name in loaded.programs:
        number = program_id(loaded, name)
        ours, theirs = found[number], bpftool("prog", "show", "id", number)
        assert ours["name"] == theirs["name"] == name
        assert (ours["type"], ours["tag"]) == (theirs["type"], theirs["tag"])
        assert (ours["bytes_translated"], ours["bytes_jited"]) == (theirs["bytes_xlated"], theirs["bytes_jited"])
        assert ours["map_ids"] == theirs.get("map_ids", [])
        assert (ours["uid"], ours["memlock"]) == (theirs["uid"], theirs["bytes_memlock"])
    lines = asked("prog", "list").splitlines()
    assert lines[0].split()[:3] == ["ID", "TYPE", "NAME"]
    assert any(line.split()[:3] == [str(number), "socket_filter", "target"]
               for line in lines for number in [program_id(loaded, "target")])  # fmt: skip


def test_a_program_is_shown_by_its_id_and_by_its_name(loaded: Loaded, asked: Callable[..., str]) -> None:
    number = program_id(loaded, "on_egress")
    text = asked("prog", "show", number)
    assert text.startswith(f"program {number} on_egress: cgroup_skb\n")
    assert f"{map_id(loaded, 'flows')} flows" in text
    assert json.loads(asked("prog", "show", "on_egress", "--json"))["id"] == number
    assert "no program 'on_egres'; did you mean" in asked("prog", "show", "on_egres", status=1)
    assert "no such" in asked("prog", "show", 1 << 30, status=1).lower()


def test_instructions_are_read_back_with_their_source(loaded: Loaded, asked: Callable[..., str]) -> None:
    number = program_id(loaded, "jump")
    text = asked("prog", "dump", number)
    assert text.startswith("jump:\n")
    assert "; reload_first.bpf.c:" in text
    assert "bpf_tail_call(skb, &jumps, 0);" in text
    code = json.loads(asked("prog", "dump", number, "--json"))
    assert code[-1]["text"] == "exit"
    assert len(bpftool("prog", "dump", "xlated", "id", number)) == len(code)
    jited = json.loads(asked("prog", "dump", number, "--jited", "--json"))
    assert len(bytes.fromhex(jited[0]["code"])) == bpftool("prog", "show", "id", number)["bytes_jited"]
    assert "return 0;" in asked("prog", "dump", number, "--jited")


def test_running_programs_are_counted(loaded: Loaded, asked: Callable[..., str]) -> None:
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            loaded.programs["on_packet"].run_sync(bytes(64))
            time.sleep(0.001)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        number = program_id(loaded, "on_packet")
        found = {each["id"]: each for each in json.loads(asked("prog", "stats", "--duration", "0.2", "--json"))}
        assert found[number]["runs"] > 0
        assert found[number]["run_time_ns"] > 0
        assert "on_packet" in asked("prog", "stats", number, "--duration", "0.1")
    finally:
        stop.set()
        thread.join()


def test_maps_are_listed_with_what_bpftool_says_of_them(loaded: Loaded, asked: Callable[..., str]) -> None:
    found = {each["id"]: each for each in json.loads(asked("map", "list", "--json"))}
    for name in loaded.maps:
        number = map_id(loaded, name)
        ours, theirs = found[number], bpftool("map", "show", "id", number)
        assert (ours["type"], ours["name"]) == (theirs["type"], theirs["name"])
        assert ours["max_entries"] == theirs["max_entries"]
        assert (ours["key_size"], ours["value_size"]) == (theirs["bytes_key"], theirs["bytes_value"])
        assert ours["frozen"] == bool(theirs["frozen"])
    assert "flows" in asked("map", "list")
    text = asked("map", "show", map_id(loaded, "flows"))
    assert "struct stats" in text
    assert "on_packet" in text


def test_elements_are_typed_as_bpftool_has_them(loaded: Loaded, asked: Callable[..., str]) -> None:
    number = map_id(loaded, "flows")
    asked("map", "set", number, 8, '{"count": 3, "bytes": 4}')
    ours = json.loads(asked("map", "dump", number, "--json"))
    theirs = [each["formatted"] for each in bpftool("map", "dump", "id", number)]
    assert sorted(ours, key=lambda each: each["key"]) == sorted(theirs, key=lambda each: each["key"])
    assert "8: count=3 bytes=4" in asked("map", "dump", number)


def test_a_key_is_got_set_and_deleted(loaded: Loaded, asked: Callable[..., str]) -> None:
    number = map_id(loaded, "flows")
    assert json.loads(asked("map", "get", number, 7, "--json")) == {"count": 1, "bytes": 2}
    assert asked("map", "get", number, "0x7") == "count=1 bytes=2\n"
    asked("map", "set", number, 7, '{"count": 5, "bytes": 6}', "--existing")
    assert loaded.maps["flows"][7].count == 5
    assert "has no key" in asked("map", "set", number, 9, '{"count": 5, "bytes": 6}', "--existing", status=1)
    assert "is taken" in asked("map", "set", number, 7, '{"count": 5, "bytes": 6}', "--new", status=1)
    assert "JSON object" in asked("map", "set", number, 7, "5", status=1)
    asked("map", "delete", number, 7)
    assert "has no key 7" in asked("map", "get", number, 7, status=1)
    assert json.loads(asked("map", "get", map_id(loaded, "by_cpu"), 0, "--json")) == [0] * len(kernel.possible_cpus())
    asked("map", "set", map_id(loaded, "by_cpu"), 0, 4)
    assert set(loaded.maps["by_cpu"][0]) == {4}


def test_programs_go_into_program_arrays_by_their_name(loaded: Loaded, asked: Callable[..., str]) -> None:
    number, target = map_id(loaded, "jumps"), program_id(loaded, "target")
    asked("map", "set", number, 0, target)
    assert asked("map", "get", number, 0) == f"{target}\n"
    assert loaded.programs["jump"].run_sync(bytes(64)).retval == 11


def test_queues_give_and_take(asked: Callable[..., str]) -> None:
    async def made() -> Map:
        return await Map.create(MapSpec(name="waiting", type=MapType.QUEUE, value_size=4, max_entries=4))

    queue = anyio.run(made)
    try:
        number = queue.info().id
        asked("map", "set", number, 5)
        asked("map", "set", number, 6)
        assert asked("map", "get", number) == "05000000\n"
        asked("map", "delete", number)
        assert queue.pop() == b"\6\0\0\0"
        assert "is empty" in asked("map", "get", number, status=1)
        assert "which has no keys" in asked("map", "dump", number, status=1)
    finally:
        queue.close()


def test_changes_are_watched(loaded: Loaded, asked: Callable[..., str]) -> None:
    flows = loaded.maps["flows"]

    def change() -> None:
        time.sleep(0.15)
        flows[9] = {"count": 1, "bytes": 1}
        time.sleep(0.1)
        flows[7] = {"count": 2, "bytes": 2}
        time.sleep(0.1)
        del flows[9]

    thread = threading.Thread(target=change)
    thread.start()
    out = asked("map", "watch", map_id(loaded, "flows"), "--interval", "0.02", "--duration", "0.8", "--json")
    thread.join()
    told = [json.loads(line) for line in out.splitlines()]
    assert [(each["event"], each["key"]) for each in told] == [("new", 9), ("changed", 7), ("gone", 9)]
    assert told[1]["before"] == {"count": 1, "bytes": 2}
    assert told[1]["value"] == {"count": 2, "bytes": 2}


@pytest.mark.parametrize("named", [True, False])
def test_the_events_of_a_buffer_are_watched(loaded: Loaded, asked: Callable[..., str], *, named: bool) -> None:
    async def attached() -> None:
        async with loaded.programs["on_syscall"].attach(RawTracepoint("sys_enter")):
            loaded.variables["numbered"].value = 5
            os.getpgid(0)
            loaded.variables["numbered"].value = 0

    anyio.run(attached)
    # The types of this object's programs have no struct event: nothing that the verifier sees is one.
    told, names = ("struct stats", ("count", "bytes")) if named else ("__u32 version; __u32 n", ("version", "n"))
    out = asked("map", "watch", map_id(loaded, "events"), "--duration", "0.3", "--json", "--type", told)
    assert {"map": "events", names[0]: 1, names[1]: 5} in [json.loads(line) for line in out.splitlines()]
    assert "no STRUCT is called 'nothing'" in asked(
        "map", "watch", map_id(loaded, "events"), "--type", "struct nothing", status=1
    )


def test_links_say_where_they_hang_and_are_taken_off(loaded: Loaded, asked: Callable[..., str]) -> None:
    async def attach() -> Any:
        return await loaded.programs["on_syscall"].attach(RawTracepoint("sys_enter"))

    link = anyio.run(attach)
    try:
        number = kernel.link_info(link).id
        found = {each["id"]: each for each in json.loads(asked("link", "list", "--json"))}[number]
        theirs = bpftool("link", "show", "id", number)
        assert found["program_id"] == theirs["prog_id"]
        assert found["name"] == theirs["tp_name"] == "sys_enter"
        assert found["program_name"] == "on_syscall"
        assert "sys_enter" in asked("link", "list")
        assert f"link {number}: raw_tracepoint" in asked("link", "show", number)
        assert "cannot be detached by force" in asked("link", "detach", number, status=1)
        assert "neither the id nor the pin" in asked("link", "show", "nothing", status=1)
    finally:
        anyio.run(link.aclose)


def test_types_are_listed_and_dumped(loaded: Loaded, asked: Callable[..., str]) -> None:
    number = json.loads(asked("map", "show", map_id(loaded, "flows"), "--json"))["btf_id"]
    found = {each["id"]: each for each in json.loads(asked("btf", "list", "--json"))}
    assert program_id(loaded, "target") in found[number]["programs"]
    assert map_id(loaded, "flows") in found[number]["maps"]
    assert any(each["name"] == "vmlinux" for each in found.values())
    assert "struct stats {" in asked("btf", "dump", number)
    assert "struct list_head {" in asked("btf", "dump", "vmlinux", "struct list_head")
    assert "there is no type" in asked("btf", "dump", number, "struct nothing", status=1)
    assert "type" in asked("btf", "show", OBJECTS / "reload_first.bpf.o")
    assert json.loads(asked("btf", "show", number, "--json"))["type_counts"]["struct"] > 0


def test_a_table_is_as_wide_as_the_terminal(loaded: Loaded) -> None:
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    with os.fdopen(parent, "rb", buffering=0) as read:
        subprocess.run(
            [sys.executable, "-m", "aiobpf", "prog", "list"], stdout=child, env=environment, check=True, timeout=60
        )
        os.close(child)
        text = b""
        try:
            while part := read.read(4096):
                text += part
        except OSError:  # the end of a terminal
            pass
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", text).decode()
    lines = plain.splitlines()
    assert any("on_egress" in line for line in lines)
    assert max(map(len, lines)) <= 60


def test_names_that_would_steer_the_terminal_are_shown_as_text(asked: Callable[..., str]) -> None:
    assert "\x1b" not in asked("prog", "show", "\x1b[31mred", status=1)


@pytest.fixture
def made() -> Iterator[Callable[..., int]]:
    """Makes a map, closed at the end, and gives its id."""
    maps: list[Map] = []

    def make(type_: MapType, key_size: int, value_size: int, **fields: Any) -> int:
        spec = MapSpec(name="made", type=type_, key_size=key_size, value_size=value_size, **fields)
        maps.append(create_map(spec))
        return maps[-1].info().id

    yield make
    for each in maps:
        each.close()


def test_networks_and_interfaces_are_written_as_such(made: Callable[..., int], asked: Callable[..., str]) -> None:
    trie = made(MapType.LPM_TRIE, 8, 4, max_entries=4, flags=1)
    asked("map", "set", trie, "10.0.0.0/8", 5)
    assert json.loads(asked("map", "get", trie, "10.1.2.3", "--json")) == "05000000"
    asked("map", "delete", trie, "10.0.0.0/8")
    ports = made(MapType.DEVMAP, 4, 8, max_entries=2)
    asked("map", "set", ports, 1, "lo")
    assert json.loads(asked("map", "get", ports, 1, "--json")) == {"interface": 1, "program": None}
    cpus = made(MapType.CPUMAP, 4, 8, max_entries=1)
    asked("map", "set", cpus, 0, 192)
    assert json.loads(asked("map", "dump", cpus, "--json")) == [
        {"key": 0, "value": {"queue_size": 192, "program": None}}
    ]


@pytest.mark.requires("task storage")
def test_storages_are_asked_by_process_and_path(made: Callable[..., int], asked: Callable[..., str]) -> None:
    tasks = made(MapType.TASK_STORAGE, 4, 8)
    asked("map", "set", tasks, os.getpid(), "0x0100000000000000")
    assert json.loads(asked("map", "get", tasks, os.getpid(), "--json")) == "0100000000000000"
    asked("map", "delete", tasks, os.getpid())
    assert "has no key" in asked("map", "get", tasks, os.getpid(), status=1)
    files = made(MapType.INODE_STORAGE, 4, 8)
    asked("map", "set", files, __file__, "0x0200000000000000")
    assert json.loads(asked("map", "get", files, __file__, "--json")) == "0200000000000000"
    assert "of sockets, which only the process" in asked("map", "get", made(MapType.SK_STORAGE, 4, 8), 3, status=1)


@pytest.mark.requires("bloom filters")
def test_a_bloom_filter_is_asked_for_a_value(made: Callable[..., int], asked: Callable[..., str]) -> None:
    seen = made(MapType.BLOOM_FILTER, 0, 4, max_entries=100)
    asked("map", "set", seen, 5)
    assert json.loads(asked("map", "get", seen, 5, "--json")) is True
    assert json.loads(asked("map", "get", seen, 6, "--json")) is False
