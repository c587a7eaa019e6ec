"""The command line: what it accepts, and the exit status and words of what it refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aiobpf.cli.commands import main, parser
from aiobpf.cli.run import MapChoice, Setting


def parse(*arguments: str) -> object:
    return parser().parse_args(["run", *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["walk"],
        ["run", "--duration", "soon"],
        ["run", "--duration", "-1"],
        ["run", "--duration", "nan"],
        ["run", "--map", ""],
        ["run", "--map", "events:"],
        ["run", "--map", ":event"],
        ["run", "--set", "x"],
        ["run", "--set", "=1"],
        ["run", "a.o", "b.o"],
        ["run", "--nonsense"],
    ],
)
def test_wrong_usage_is_status_2_and_one_line_after_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    *_, last = err.splitlines()
    assert last.startswith("aiobpf: ")
    assert "Traceback" not in err


def test_options_of_run() -> None:
    options = parser().parse_args(
        ["run", "x.o", "--json", "--duration", "1.5", "--map", "a", "--map", "b:struct event", "--set", "x=1=2", "-v"]
    )
    assert (options.source, options.json, options.duration, options.verbose) == ("x.o", True, 1.5, True)
    assert options.map == [MapChoice("a", None), MapChoice("b", "struct event")]
    assert options.set == [Setting("x", "1=2")]


def test_help_is_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    assert "--duration SECONDS" in capsys.readouterr().out


def test_python_m_aiobpf_knows_its_version() -> None:
    run = subprocess.run([sys.executable, "-m", "aiobpf", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("aiobpf 0.")


def test_version_and_help_import_nothing_heavy() -> None:
    code = (
        "import sys; from aiobpf.cli import main; main(['run', '--help'])\n"
        "heavy = {'anyio', 'asyncio', 'rich', 'elftools', 'numpy', 'attr'} & set(sys.modules)\n"
        "print(*heavy, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == ""
