"""``aiobpf inspect``: what an object has, as text and as JSON, whoever asks and whatever the object."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf.btf import CORE_RELOCATION, LINE
from aiobpf.cli.commands import main
from aiobpf.elf import read_spec
from aiobpf.spec import EXTERN
from tests.elf.conftest import embedded_object, installed_objects

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = Path(__file__).parent.parent / "objects"


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``shown(object, *options)``: what the command prints."""

    def show(name: str | Path, *options: str) -> str:
        path = name if isinstance(name, Path) else OBJECTS / f"{name}.bpf.o"
        assert main(["inspect", str(path), *options]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return show


def block(text: str, first: str) -> list[str]:
    """The lines from one that begins with *first* to the next empty one."""
    lines = text.splitlines()
    start = next(
        number for number, line in enumerate(lines) if line == first or line.startswith((f"{first} ", f"{first}:"))
    )
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return lines[start:end]


def test_programs_say_what_they_are_and_what_they_use(shown: Callable[..., str]) -> None:
    text = shown("externs")
    assert text.splitlines()[:2] == [
        'externs.bpf.o: little-endian, license "Dual MIT/GPL"', "  3 programs, 2 maps, 1 variable, 12 externs",
    ]  # fmt: skip
    assert block(text, "program symbols") == [
        'program symbols: RAW_TRACEPOINT, section "raw_tp/sys_enter"',
        "  attaches to sys_enter",
        "  size        14 instructions in 19 slots",
        "  functions   int symbols(void *ctx)",
        "  maps        .bss",
        "  externs     runqueues, no_such_symbol, schedule",
        "  CO-RE       field struct rq.nr_running",
    ]
    assert "  flags       SLEEPABLE" in block(text, "program functions")
    assert "  loaded      only if asked for" in block(shown("guards"), "program unguarded_field")


def test_functions_that_are_no_program_are_listed(shown: Callable[..., str]) -> None:
    spec = read_spec(OBJECTS / "subprograms.bpf.o")
    lines = block(shown("subprograms"), "functions that")
    assert lines[0] == "functions that are no program"
    assert [line.split(":")[0].strip() for line in lines[1:]] == list(spec.functions)
    assert len(lines) > 1


def test_maps_have_all_their_fields_and_their_types_in_c(shown: Callable[..., str]) -> None:
    text = shown("map_kinds")
    assert block(text, "map lpm") == [
        "map lpm: LPM_TRIE, 32 entries, key of 8 bytes, value of 4 bytes",
        "  flags    NO_PREALLOC",
        "  key      struct key {",
        "               __u32 prefix;",
        "               __u8 address[4];",
        "           };",
        "  value    __u32",
    ]
    assert block(text, "map outer_array") == [
        "map outer_array: ARRAY_OF_MAPS, 4 entries, key of 4 bytes, value of 4 bytes",
        "  key      __u32",
        "  contents [00000000] = inner_0",
        "  contents [02000000] = inner_2",
        "  holds maps like outer_array.inner: ARRAY, 4 entries, key of 4 bytes, value of 4 bytes",
        "    key      __u32",
        "    value    __u32",
    ]
    assert "  pinned   by its name" in block(text, "map pinned")
    assert block(text, "map tagged")[-2:] == ["  tag      aiobpf:first", "  tag      aiobpf:second"]
    assert "  node     0" in block(text, "map sized")
    assert "  extra    0x3" in block(text, "map bloom")
    struct_ops = block(shown("struct_ops"), "map plain")
    assert {"  struct   tcp_congestion_ops", "  member   .init = count_init"} <= set(struct_ops)


@pytest.mark.parametrize("name", ["globals", "globals.eb"])
def test_variables_have_their_initial_values(name: str, shown: Callable[..., str]) -> None:
    spec = read_spec(OBJECTS / f"{name}.bpf.o")
    found = json.loads(shown(name, "--json"))["variables"]
    assert {each["name"]: each["offset"] for each in found} == {
        each.name: each.offset for each in spec.variables.values()
    }
    little, big = (json.loads(shown(each, "--json"))["variables"] for each in ("globals", "globals.eb"))
    assert [(each["name"], each["type"], each["value"]) for each in little] == [
        (each["name"], each["type"], each["value"]) for each in big
    ]
    guards = block(shown("guards"), "variables in .rodata")
    assert guards == [
        "variables in .rodata",
        "      0  const volatile bool is_wanted = false",
        "      1  const volatile bool is_unwanted = true",
        "      4  const volatile int level = 3",
    ]


def test_externs_are_declared_as_in_c(shown: Callable[..., str]) -> None:
    assert set(block(shown("externs"), "externs")[1:]) >= {
        "  kfunc    extern struct task_struct *bpf_task_from_pid(__s32)",
        "  kfunc    extern int no_such_function(int) __weak",
        "  ksym     extern const struct rq runqueues",
        "  ksym     extern const void no_such_symbol __weak",
        "  kconfig  extern char CONFIG_CC_VERSION_TEXT[64]",
    }


@pytest.mark.parametrize("name", ["guards", "guards.eb"])
def test_the_disassembly_has_source_lines_symbols_relocations_and_externs(name: str, shown: Callable[..., str]) -> None:
    source = (OBJECTS / "guards.bpf.c").read_text().splitlines()
    line = 1 + next(number for number, text in enumerate(source) if text == "int by_field(void *ctx)")
    text = shown(name, "--program", "by_field")
    assert text.startswith("program by_field: RAW_TRACEPOINT")
    lines = text.splitlines()
    begin = lines.index("by_field:")
    assert lines[begin + 1] == f"      ; guards.bpf.c:{line}  int by_field(void *ctx)"
    assert lines[begin + 2].endswith("  ; CO-RE field_exists: field struct task_struct.no_such_field")
    assert any(each.endswith("= <runtime@.bss+0> ll") for each in lines)
    by_kfunc = shown(name, "--program", "by_kfunc")
    assert "call <no_such_function>  ; weak kfunc: extern int no_such_function(int)" in by_kfunc
    whole = shown(name, "-d")
    assert all(f"\n{program}:\n" in whole for program in read_spec(OBJECTS / f"{name}.bpf.o").programs)


def test_types_are_counted_or_shown_in_c(shown: Callable[..., str]) -> None:
    assert "62 types: " in shown("ring_events")
    text = shown("ring_events", "--types")
    assert block(text, "struct point {")[-1] == "};"
    assert "typedef unsigned int __u32;" in text.splitlines()
    assert "  no types (BTF)" in shown("no_btf")


def all_objects() -> list[Path]:
    return sorted(OBJECTS.glob("*.bpf.o")) + installed_objects()


@pytest.mark.parametrize("path", all_objects(), ids=lambda path: path.name.removesuffix(".bpf.o"))
def test_json_has_everything_of_the_spec(path: Path, shown: Callable[..., str], tmp_path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not installed (Debian: libbpf-tools, xdp-tools)")
    if path.suffix != ".o":
        data = embedded_object(path)
        path = tmp_path / "object.bpf.o"
        path.write_bytes(data)
    spec = read_spec(path)
    found = json.loads(shown(path, "--json"))
    assert found["byte_order"] == spec.byte_order
    for key in ("programs", "maps", "variables", "externs", "exports", "functions"):
        assert [each["name"] for each in found[key]] == list(getattr(spec, key))
    for each in found["programs"]:
        compare_program(each, spec.programs[each["name"]])
    for each in found["maps"]:
        mine = spec.maps[each["name"]]
        assert (each["type"], each["key_size"], each["value_size"], each["max_entries"]) == (
            mine.type.name, mine.key_size, mine.value_size, mine.max_entries,
        )  # fmt: skip
        assert each["contents"].keys() == {key.hex() for key in mine.contents}
    assert sum(found["type_counts"].values()) == (0 if spec.types is None else len(spec.types.types) - 1)
    shown(path, "-d", "--types")


def compare_program(found: dict[str, Any], program: Any) -> None:
    instructions = program.instructions
    assert [each["slot"] for each in found["code"]] == [instructions.slot_of(i) for i in range(len(instructions))]

    def slots(key: str) -> list[int]:
        return [each["slot"] for each in found["code"] if key in each]

    assert slots("relocation") == [slot for slot, _ in instructions.with_key_by_slot(CORE_RELOCATION)]
    assert slots("source") == [slot for slot, _ in instructions.with_key_by_slot(LINE)]
    assert slots("extern") == [slot for slot, _ in instructions.with_key_by_slot(EXTERN)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no ELF file"),
        (b"\x7fELF" + bytes(60), "ELF"),
        ((OBJECTS / "core.bpf.o").read_bytes()[:3000], "past the end of the file"),
    ],
)
def test_a_file_that_is_no_object_is_one_line(
    data: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.o"
    path.write_bytes(data)
    assert main(["inspect", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"aiobpf: {path}: ")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["core", "externs.eb", "map_kinds", "struct_ops"])
def test_damaged_objects_are_shown_or_refused_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (OBJECTS / f"{name}.bpf.o").read_bytes()
    path = tmp_path / "damaged.o"
    changes = random.Random(name)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(changes.choice([1, 2, 8])):
            data[changes.randrange(64, len(data))] = changes.randrange(256)
        path.write_bytes(data)
        for options in ([], ["-d", "--types"], ["--json"]):
            status = main(["inspect", str(path), *options])
            out, err = capsys.readouterr()
            assert "internal error" not in err
            assert (status, len(err.splitlines())) in {(0, 0), (1, 1)}
            assert out.isascii() or "\x1b" not in out
            if options == ["--json"] and status == 0:
                json.loads(out)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv (Debian: util-linux)")
def test_inspecting_needs_no_privilege_and_nothing_of_the_kernel() -> None:
    code = (
        "import sys; from aiobpf.cli import main; status = main()\n"
        "print(*(name for name in sys.modules if name.startswith('aiobpf.kernel')), file=sys.stderr)\n"
        "raise SystemExit(status)"
    )
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    run = subprocess.run(
        [*drop, sys.executable, "-c", code, "inspect", str(OBJECTS / "core.bpf.o"), "-d"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stderr.strip() == ""
    assert run.stdout.startswith("core.bpf.o: little-endian")


def test_a_terminal_gets_colours_and_a_pipe_gets_none(tmp_path: Path) -> None:
    main_end, end = pty.openpty()
    try:
        command = [sys.executable, "-m", "aiobpf", "inspect", str(OBJECTS / "no_btf.bpf.o"), "-d"]
        run = subprocess.run(command, stdout=end, env=os.environ | {"TERM": "xterm-256color"}, check=True)
        assert run.returncode == 0
        coloured = os.read(main_end, 1 << 16).decode()
    finally:
        os.close(main_end)
        os.close(end)
    plain = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "\x1b[1m" in coloured
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).replace("\r\n", "\n") == plain
