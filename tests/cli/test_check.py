"""``aiobpf check``: the table, JSON and exit status, as any user."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf.cli.commands import main
from tests.compatibility.conftest import INT, function, make_kernel, struct, tracepoint

if TYPE_CHECKING:
    from aiobpf.compatibility import TargetKernel

OBJECTS = Path(__file__).parent.parent / "objects"
GUARDS = str(OBJECTS / "guards.bpf.o")
EXTERNS = str(OBJECTS / "externs.bpf.o")
TASK = struct("task_struct", pid=8)


def write(folder: Path, name: str, kernel: TargetKernel) -> str:
    path = folder / name
    path.write_bytes(kernel.btf.raw)
    return str(path)


@pytest.fixture
def old(tmp_path: Path) -> str:
    return write(
        tmp_path, "5.10.0-old.btf", make_kernel(TASK, struct("rq", nr_running=4), tracepoint("sys_enter"), helpers=163)
    )


@pytest.fixture
def new(tmp_path: Path) -> str:
    types = (
        struct("task_struct", pid=8, no_such_field=16),
        struct("no_such_struct", field=4),
        struct("rq", nr_running=4),
    )
    return write(
        tmp_path,
        "7.3.0-new.btf",
        make_kernel(*types, tracepoint("sys_enter"), function("no_such_function", takes=[INT]), helpers=5000),
    )


def test_a_column_for_each_kernel_and_a_row_for_what_not_all_have(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", GUARDS, "--btf", old, new, "--program", "unguarded_field", "--program", "by_field"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    source = Path(GUARDS.replace(".o", ".c")).read_text().splitlines()
    line = source.index("int unguarded_field(void *ctx)") + 3
    assert out.splitlines() == [
        "                                          5.10.0-old  7.3.0-new",
        "guards.bpf.o                              refused     loads",
        "map .kconfig",
        "  kconfig CONFIG_NO_SUCH_OPTION           ?           ?",
        "program by_field                          loads       loads",
        "  field struct task_struct.no_such_field  guarded     yes",
        "program unguarded_field                   refused     loads",
        "  field struct task_struct.no_such_field  no          yes",
        "",
        "kconfig CONFIG_NO_SUCH_OPTION: the configuration was not given",
        "  on 5.10.0-old, 7.3.0-new",
        "field struct task_struct.no_such_field: it is not there, and the code that needs it is reached",
        "  in unguarded_field",
        f"  guards.bpf.c:{line}  runtime = BPF_CORE_READ(task, no_such_field);",
        "  on 5.10.0-old",
    ]


def test_a_narrow_terminal_gets_numbers_for_the_kernels_and_colours(old: str, new: str) -> None:
    main_end, end = pty.openpty()
    try:
        command = [sys.executable, "-m", "aiobpf", "check", GUARDS, "--program", "unguarded_field", "--btf", old, new]
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "60"}
        run = subprocess.run(command, stdout=end, env=environment, check=False)
        assert run.returncode == 1
        text = os.read(main_end, 1 << 16).decode().replace("\r\n", "\n")
    finally:
        os.close(main_end)
        os.close(end)
    assert "\x1b[1;31mrefused" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert lines[:2] == ["[1] 5.10.0-old", "[2] 7.3.0-new"]
    assert lines[3].split() == ["[1]", "[2]"]
    assert lines[4].split() == ["guards.bpf.o", "refused", "loads"]


def test_all_shows_what_every_kernel_has_as_well(new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", GUARDS, "--btf", new, "--program", "by_field", "--all"]) == 0
    out = capsys.readouterr().out
    assert "  program type RAW_TRACEPOINT" in out
    assert "map .bss\n  map type ARRAY" in out


def test_json_has_everything(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", GUARDS, "--btf", old, new, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["object"] == GUARDS
    assert found["verdict"] == "unknown"
    first, second = found["kernels"]
    assert (first["kernel"], first["version"], first["byte_order"]) == ("5.10.0-old", "5.10.0", "little")
    assert first["programs"]["by_field"] == second["programs"]["by_field"] == "loads"
    relocation = next(
        each for each in second["findings"] if (each["program"], each["question"]) == ("by_field", "offset")
    )
    assert relocation == {
        "need": "relocation", "subject": "field struct task_struct.no_such_field", "question": "offset",
        "status": "resolved", "stage": "load", "answer": "16", "reason": None, "program": "by_field", "map": None,
        "instruction": relocation["instruction"], "source": relocation["source"],
    }  # fmt: skip
    assert relocation["source"].startswith("guards.bpf.c:")


def test_strict_fails_where_it_is_not_known(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", GUARDS, "--btf", old, "--program", "by_option"]
    assert main(arguments) == 0
    assert "unknown" in capsys.readouterr().out
    assert main([*arguments, "--strict"]) == 1


def test_configuration_and_symbols_belong_to_the_kernel_before_them(
    old: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.gz"
    config.write_bytes(
        gzip.compress(
            b"#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.170 Kernel Configuration\n#\n"
            b'CONFIG_HZ=250\nCONFIG_BPF_SYSCALL=y\nCONFIG_IPV6=m\nCONFIG_CC_VERSION_TEXT="gcc"\n'
        )
    )
    symbols = tmp_path / "System.map"
    symbols.write_text("ffffffff81000000 T schedule\nffffffff81000010 D runqueues\n")
    arguments = ["--config", str(config), "--kallsyms", str(symbols)]
    assert main(["check", EXTERNS, "--json", "--btf", old, *arguments, "--btf", new]) == 0
    first, second = json.loads(capsys.readouterr().out)["kernels"]
    assert (first["version"], second["version"]) == ("6.1.170", "7.3.0")
    assert first["programs"]["configuration"] == "loads"
    assert second["programs"]["configuration"] == "unknown"
    answers = {each["subject"]: each["answer"] for each in first["findings"] if each["need"] in {"ksym", "kconfig"}}
    assert answers == {
        "LINUX_KERNEL_VERSION": str(6 << 16 | 1 << 8 | 170), "CONFIG_HZ": "250", "CONFIG_BPF_SYSCALL": "y",
        "CONFIG_IPV6": "m", "CONFIG_CC_VERSION_TEXT": '"gcc"', "CONFIG_NO_SUCH_OPTION": "0", "runqueues": None,
        "schedule": "kallsyms", "no_such_symbol": "0",
    }  # fmt: skip


def test_a_constant_is_set_before(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", GUARDS, "--btf", old, "--program", "by_constant"]
    assert main(arguments) == 0
    assert main([*arguments, "--set", "is_wanted=true"]) == 1
    assert (
        "task_struct.no_such_field: it is not there, and the code that needs it is reached" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "the following arguments are required"),
        (["check", GUARDS], "the following arguments are required: --btf"),
        (["check", GUARDS, "--btf"], "expected at least one argument"),
        (["check", GUARDS, "--config", "x", "--btf", "y"], "--config is about the kernel of the --btf before it"),
        (["check", GUARDS, "--kallsyms", "x"], "--kallsyms is about the kernel"),
        (["check", GUARDS, "--btf", "y", "--set", "x"], "is not VARIABLE=VALUE"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["/nowhere.btf"], "aiobpf: /nowhere.btf: No such file or directory"),
        ([GUARDS.replace("guards.bpf.o", "no_btf.bpf.o")], "no_btf.bpf.o: the ELF file has no .BTF section"),
        ([__file__], f"aiobpf: {__file__}: "),
    ],
)
def test_a_file_that_is_no_kernel_is_one_line(
    files: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", GUARDS, "--btf", *files]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_configuration_that_is_none_is_one_line(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", GUARDS, "--btf", old, "--config", old]) == 1
    assert capsys.readouterr().err == (f"aiobpf: {old}: it sets no CONFIG_ option: is it a kernel's configuration?\n")


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv (Debian: util-linux)")
def test_it_needs_no_privilege(old: str) -> None:
    code = (
        "import sys; from aiobpf.cli import main; status = main()\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('CapEff')), file=sys.stderr)\n"
        "raise SystemExit(status)"
    )
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    run = subprocess.run(
        [*drop, sys.executable, "-c", code, "check", GUARDS, "--btf", old], capture_output=True, text=True, check=True
    )
    assert int(run.stderr.split()[1], 16) == 0
    assert run.stdout.splitlines()[1].split() == ["guards.bpf.o", "unknown"]
