"""``aiobpf explain``: any loader's verifier log, told."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aiobpf.cli.commands import main
from tests.verifier.corpus import LOGS

OBJECTS = Path(__file__).parent.parent / "objects"


def test_a_log_in_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_text(LOGS["6.12", "spilled", 1])
    assert main(["explain", str(path), "--steps", "3"]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert out.startswith("R1 invalid mem access 'map_value_or_null' at instruction 11\n")
    assert "its last 3 instructions" in out
    assert "fp-64 stored from R6" in out
    assert "check the pointer against NULL" in out


def test_a_log_on_stdin_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = "libbpf: prog 'p': BPF program load failed\nlibbpf: prog 'p': -- BEGIN PROG LOAD LOG --\n"
    behind = "-- END PROG LOAD LOG --\nlibbpf: prog 'p': failed to load: -22\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(before + LOGS["5.10", "leak", 2] + behind))
    assert main(["explain"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Unreleased reference id=2 alloc_insn=4 at instruction 6\n")
    assert "failed to load" not in out


def test_what_holds_no_log_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty"
    path.write_text("\n")
    assert main(["explain", str(path)]) == 1
    assert main(["explain", str(tmp_path / "absent")]) == 1
    err = capsys.readouterr().err
    assert "empty: no refusal of the verifier is in it" in err
    assert "absent: No such file" in err


@pytest.mark.root
def test_what_bpftool_prints_of_a_refusal_is_told(tmp_path: Path) -> None:
    bpftool = shutil.which("bpftool")
    if bpftool is None:
        pytest.skip("no bpftool")
    load = [bpftool, "prog", "load", str(OBJECTS / "rejected.bpf.o"), "/sys/fs/bpf/aiobpf_never_there"]
    refused = subprocess.run(load, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    told = subprocess.run(
        [sys.executable, "-m", "aiobpf", "explain"], input=refused.stderr, capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("R0 invalid mem access 'map_value_or_null' at instruction 7\n  return *value;")
    assert "the result of bpf_map_lookup_elem" in told
    assert "return *value;" in told


def test_a_text_that_is_no_log_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    for text in (b"first the one thing,\nthen the other\n", b"\x7fELF\xff\xfe\0\n\xc3 x\n"):
        path.write_bytes(text)
        assert main(["explain", str(path)]) == 1
        assert "no refusal of the verifier is in it" in capsys.readouterr().err
    path.write_text("R1 invalid mem access 'scalar'\n")
    assert main(["explain", str(path)]) == 0
    assert "R1" in capsys.readouterr().out


def test_a_number_of_steps_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--steps", "-3"]) == 2
    assert "--steps: '-3' is no number of steps" in capsys.readouterr().err
