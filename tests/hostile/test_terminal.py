"""What a terminal would act upon does not reach it, wherever names and texts of a file are shown."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import Array, Int, Member, Struct, codec
from aiobpf.cli.commands import main
from aiobpf.cli.formats import EventFormat
from aiobpf.cli.report import report, warn
from aiobpf.cli.views import PlainLines
from aiobpf.errors import VerifierError

if TYPE_CHECKING:
    from pathlib import Path

CLEAR = "\x1b[2J\x1b]0;title\x07"


def is_quiet(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_a_log_that_quotes_hostile_source_is_told_in_printable_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.txt"
    path.write_text(f"0: (b7) r0 = 0\n; {CLEAR} @ a.c:1\n1: (85) call {CLEAR}\nR1 invalid mem access {CLEAR}\n")
    assert main(["explain", str(path)]) == 0
    said = capsys.readouterr().out
    assert "invalid mem access" in said
    assert is_quiet(said)


@pytest.mark.parametrize("verbose", [False, True])
def test_an_error_that_quotes_hostile_source_is_printable(verbose: bool, capsys: pytest.CaptureFixture[str]) -> None:
    error = VerifierError(13, "x", f"invalid {CLEAR}", log=f"; {CLEAR}", instruction=1, source=f"a.c:1 {CLEAR}")
    report(error, verbose=verbose)
    warn(CLEAR)
    said = capsys.readouterr().err
    assert "invalid" in said
    assert is_quiet(said)


def test_events_of_hostile_names_and_contents_are_printable() -> None:
    char = Int("char", 1)
    event = codec(Struct("e", 16, [Member(f"a{CLEAR}", Array(char, Int("u", 4), 16), 0)]))
    out = io.StringIO()
    view = PlainLines({f"m{CLEAR}": EventFormat(event.jsonable), "other": EventFormat()}, out)
    view.show(f"m{CLEAR}", [event.decode(CLEAR.encode().ljust(16, b"!"))])
    assert "[2J" in out.getvalue()
    assert is_quiet(out.getvalue())
