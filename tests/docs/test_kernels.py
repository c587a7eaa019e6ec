"""The table of docs/kernels.md: each effect has a test, and was seen on every kernel that is known to show it."""

from __future__ import annotations

import re

import pytest

from tests.matrix import marks
from tests.matrix.__main__ import BEGIN, DOCUMENT, END
from tests.matrix.rows import KERNELS, YARDSTICK


def told() -> dict[str, list[str]]:
    """The cells of each row of the table."""
    text = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0]
    lines = [line.strip("|\n ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert lines[0] == ["effect", *KERNELS, "shown by"]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines[1:]}


def test_each_effect_has_a_test_and_no_test_shows_an_unknown_one() -> None:
    shown_by = marks.tests_of_rows()
    assert not shown_by.keys() - YARDSTICK.keys()
    assert not YARDSTICK.keys() - shown_by.keys()


@pytest.mark.parametrize("row", YARDSTICK)
def test_an_effect_was_seen_where_it_is_known_to_work(row: str) -> None:
    cells = told()[row]
    seen = {kernel for kernel, cell in zip(KERNELS, cells, strict=False) if cell == "yes"}
    missing = sorted(YARDSTICK[row] - seen)
    assert not missing, f"{row} was not shown on {', '.join(missing)}"


def test_the_tests_that_the_table_names_are_there() -> None:
    shown_by = marks.tests_of_rows()
    for row, cells in told().items():
        named = re.findall(r"`([^`]+)`", cells[-1])
        assert named
        assert set(named) <= set(shown_by[row]), f"{row}: {named}"
