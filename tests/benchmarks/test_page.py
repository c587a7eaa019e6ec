"""The page: its parts, its data, its plots."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from benchmarks.archive import as_json, from_json, rounded
from benchmarks.page import data_of, folder_of, markers, plot, read_data, write_data, write_part
from benchmarks.plots import Series, draw_bars, draw_lines
from benchmarks.samples import Result, Sample

if TYPE_CHECKING:
    from pathlib import Path


def test_a_part_is_replaced_and_what_is_around_it_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    begin, end = markers("results")
    other_begin, other_end = markers("growth")
    page.write_text(f"before\n{begin}\nold\n{end}\nbetween\n{other_begin}\nkept\n{other_end}\nafter\n")
    write_part(page, "results", "new")
    write_part(page, "results", "newer")
    expected = f"before\n{begin}\n\nnewer\n\n{end}\nbetween\n{other_begin}\nkept\n{other_end}\nafter\n"
    assert page.read_text() == expected
    page.write_text("no place")
    with pytest.raises(ValueError, match=r"performance\.md has no place for the results"):
        write_part(page, "results", "new")


def test_what_belongs_to_a_page_lies_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    assert (data_of(page).name, folder_of(page).name) == ("performance.json", "performance")
    assert plot(folder_of(page), "ring.svg", "Events a second") == "![Events a second](performance/ring.svg)"


def test_results_go_to_the_file_and_back(tmp_path: Path) -> None:
    made = Result("ring-64", "Ring buffer", "event")
    made.samples = {
        "a": [Sample(20, 40, {"lost": 3}), None, Sample(12345.678, 0)],
        "b": [None, None, None],
    }
    made.failures = {"b": "it broke"}
    path = tmp_path / "performance.json"
    assert read_data(path) == {}
    write_data(path, {"results": {"cases": as_json({"ring-64": made})}})
    (again,) = from_json(read_data(path)["results"]["cases"]).values()
    assert again.samples["a"] == [Sample(20, 40, {"lost": 3}), None, Sample(12346, 0)]
    assert (again.key, again.title, again.unit) == (made.key, made.title, made.unit)
    assert (again.samples["b"], again.failures) == (made.samples["b"], made.failures)


def test_data_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "performance.json"
    path.write_text('{"format": 0}')
    with pytest.raises(ValueError, match="format 0"):
        read_data(path)


def test_five_digits_are_kept() -> None:
    assert [rounded(value) for value in (0.0, 3.0, 1.234567, 123456.7, 2.5e9)] == [0, 3, 1.2346, 123460, 2500000000]


LINES = [Series("aiobpf", [10, 100, 1000], [1, 11, 90]), Series("linear", [10, 1000], [1, 100], is_dashed=True)]
BARS: dict[str, list[float | None]] = {"aiobpf": [1.0, 2.0], "libbpf (C)": [3.0, None]}


def test_the_same_series_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw_lines(tmp_path / f"{name}-lines.svg", LINES, title="Load", x="instructions", y="ms")
        draw_bars(tmp_path / name / "bars.svg", ["10 k/s", "1 M/s"], BARS, title="CPU time", y="s")
    assert (tmp_path / "one-lines.svg").read_bytes() == (tmp_path / "two-lines.svg").read_bytes()
    assert (tmp_path / "one" / "bars.svg").read_bytes() == (tmp_path / "two" / "bars.svg").read_bytes()


def test_a_plot_is_small_and_says_in_words_what_it_shows(tmp_path: Path) -> None:
    lines, bars = tmp_path / "lines.svg", tmp_path / "bars.svg"
    draw_lines(lines, LINES, title="Load", x="instructions", y="ms")
    draw_bars(bars, ["10 k/s", "1 M/s"], BARS, title="CPU time", y="s of CPU")
    for path, words in (
        (lines, {"Load", "instructions", "ms", "aiobpf", "linear"}),
        (bars, {"CPU time", "s of CPU", "10 k/s", "1 M/s", "aiobpf", "libbpf (C)"}),
    ):
        assert path.stat().st_size < 40_000
        found = {"".join(each.itertext()) for each in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")}
        assert words <= found
