"""The documentation says nothing that is not there: tests that are named exist, links lead somewhere, commands run.

Nothing is imported or run here but the one line of .ci/run that reads the README: everything is looked up in the text.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
DOCS = REPOSITORY / "docs"
FEATURES = DOCS / "features.md"
README = REPOSITORY / "README.md"
CI = REPOSITORY / ".ci" / "run"

HEADER = ["capability", "libbpf", "cilium/ebpf", "aya", "BCC", "aiobpf"]
NOT_YET = "not yet"
PEER_CELL = re.compile(r"(yes|part|no|n/a|\?)(: \S.*)?")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table_rows() -> list[tuple[int, list[str]]]:
    """(line number, cells) of every table row of docs/features.md but the header and the line below it."""
    found = []
    for number, line in enumerate(FEATURES.read_text().splitlines(), 1):
        if line.startswith("|"):
            row = cells(line)
            if row != HEADER and not all(re.fullmatch(r":?-+:?", cell) for cell in row):
                found.append((number, row))
    return found


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    """The names of the test functions in a file: those pytest would collect, at its top or in a class."""
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text(), str(path)))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    )


def test_every_table_has_the_same_columns() -> None:
    lines = FEATURES.read_text().splitlines()
    assert [cells(line) for line in lines if line.startswith("| capability")] == [HEADER] * sum(
        line.startswith("## ") for line in lines
    )
    wrong = [number for number, row in table_rows() if len(row) != len(HEADER) or not all(row)]
    assert not wrong, f"docs/features.md: rows of another width at lines {wrong}"


def test_no_capability_is_listed_twice() -> None:
    names = [row[0] for _, row in table_rows()]
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))


def test_every_cell_of_a_peer_begins_with_a_verdict() -> None:
    wrong = [(number, cell) for number, row in table_rows() for cell in row[1:-1] if PEER_CELL.fullmatch(cell) is None]
    assert not wrong


def test_every_cell_of_ours_is_a_test_or_not_yet() -> None:
    wrong = [
        (number, row[-1])
        for number, row in table_rows()
        if row[-1] != NOT_YET and not all(TEST_ID.fullmatch(each) for each in row[-1].split(", "))
    ]
    assert not wrong


def test_every_test_that_is_named_exists() -> None:
    named = TEST_ID.findall(FEATURES.read_text())
    assert named
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (REPOSITORY / file).is_file() or name not in names_of_tests(REPOSITORY / file)
    ]
    assert not missing


@pytest.mark.parametrize("page", [README, *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_links_to_files_of_the_repository_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    targets = [target for target in LINK.findall(text) if not re.match(r"[a-z]+:|#", target)]
    missing = [target for target in targets if not (page.parent / target.partition("#")[0]).exists()]
    assert not missing


# --- the README's commands --------------------------------------------------------------------------------------------


def command(name: str) -> str:
    """The command between ``<!-- name -->`` and ``<!-- end -->`` of the README; it is there once, and is one line."""
    blocks = re.findall(rf"<!-- {name} -->\n```sh\n(.*?)\n```\n<!-- end -->", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    (line,) = blocks[0].splitlines()
    return str(line)


def test_ci_runs_the_readmes_test_command_word_for_word() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    reading = re.search(r"^test_command=\$\(.*\)$", CI.read_text(), re.MULTILINE)
    assert reading is not None, ".ci/run does not take the command from the README"
    assert 'bash -euc "$test_command"' in CI.read_text()
    script = f'{reading[0]}\nprintf %s "$test_command"'
    read = subprocess.run([bash, "-euc", script], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    assert read == command("tests")
    assert read.endswith("nox -s tests")


def test_the_readmes_run_command_needs_nothing_but_the_checkout() -> None:
    steps = command("run").split(" && ")
    assert steps == ["python3 -m venv .venv", ".venv/bin/pip install -q '.[cli]'", ".venv/bin/aiobpf run"]
    assert command("tests").startswith(steps[0])
