"""How cost grows: the curves' own sums, and that a small one can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.growth import part
from benchmarks.growth.curve import Curve, Point
from benchmarks.page import Options

if TYPE_CHECKING:
    from pathlib import Path


def curve(power: float, *, fixed: float = 0) -> Curve:
    sizes = (10, 100, 1_000, 10_000, 100_000)
    return Curve("read/things", "Reading", "things", tuple(Point(size, fixed + 7 * size**power) for size in sizes))


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
def test_the_slope_is_the_power_that_the_cost_grows_with(power: float) -> None:
    assert curve(power).slope == pytest.approx(power)
    assert curve(power).is_linear == (power <= 1)


def test_what_is_fixed_makes_a_curve_flatter_and_never_steeper() -> None:
    assert 0.5 < curve(1.0, fixed=50_000).slope < 1


def test_a_curve_goes_to_json_and_back() -> None:
    there = curve(1.0)
    assert part.from_json(there.key, part.as_json(there)) == there


def test_a_run_of_other_cases_alone_has_no_curve_and_says_so(tmp_path: Path) -> None:
    data = part.measure(Options(only=["lookup"]))
    assert data["curves"] == {}
    assert part.render(data, tmp_path / "plots") == "Nothing was measured."


@pytest.mark.root
@pytest.mark.requires("syscall programs")
def test_streams_are_measured_and_the_page_is_made_of_the_data_alone(tmp_path: Path) -> None:
    data = part.measure(Options(is_quick=True, only=["wake/", "hold/streams", "ring/"]))
    assert sorted(data["curves"]) == ["hold/streams", "ring/KiB", "wake/streams"]
    assert all(len(each["points"]) == part.QUICK for each in data["curves"].values())
    text = part.render(data, tmp_path / "plots")
    assert "| Events one by one" in text
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "growth-drain.svg",
        "growth-hold.svg",
        "growth-ring.svg",
    ]
