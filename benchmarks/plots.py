"""Series as small SVG files. The same series give the same bytes: no date, no random id; text stays text.

matplotlib is imported when the first plot is drawn: nothing else here needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

STYLE: Final[Any] = {  # matplotlib spells the name of every setting as a type
    "svg.hashsalt": "aiobpf",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#7f3b08")
"""Okabe and Ito's, which the colour-blind can tell apart, and three more."""
MARKS: Final = "osD^vP*Xh"

Scale = Literal["linear", "log"]


@frozen
class Series:
    """One line of a plot: its name in the legend, and its points in the order of x."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    is_dashed: bool = False
    """For what was not measured: a slope to compare with."""


def draw_lines(
    path: Path,
    series: Sequence[Series],
    *,
    title: str,
    x: str,
    y: str,
    scale: Scale = "log",
) -> None:
    """Lines with a mark at each point; *x* and *y* name the axes with their units, both being of the same *scale*."""

    def draw(axes: Axes) -> None:
        for number, each in enumerate(series):
            axes.plot(
                each.x,
                each.y,
                label=each.label,
                color="#777777" if each.is_dashed else COLOURS[number % len(COLOURS)],
                linestyle="--" if each.is_dashed else "-",
                marker="" if each.is_dashed else MARKS[number % len(MARKS)],
                markersize=4,
            )
        axes.set_xscale(scale)
        axes.set_yscale(scale)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend(fontsize=8)

    _save(path, title, (6.4, 3.8), draw)


def draw_bars(
    path: Path,
    groups: Sequence[str],
    bars: Mapping[str, Sequence[float | None]],
    *,
    title: str,
    y: str,
    scale: Scale = "log",
) -> None:
    """For each of *groups* one bar of each name in *bars*, side by side; None leaves its place empty."""

    def draw(axes: Axes) -> None:
        width = 0.86 / max(len(bars), 1)
        for number, (label, values) in enumerate(bars.items()):
            at = [group + (number - (len(bars) - 1) / 2) * width for group in range(len(groups))]
            there = [(place, value) for place, value in zip(at, values, strict=True) if value is not None]
            axes.bar(
                [place for place, _ in there],
                [value for _, value in there],
                width * 0.92,
                label=label,
                color=COLOURS[number % len(COLOURS)],
                hatch="" if number < len(COLOURS) else "//",
            )
        axes.set_xticks(range(len(groups)), groups)
        axes.set_yscale(scale)
        axes.set_ylabel(y)
        axes.grid(visible=False, axis="x")
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))

    _save(path, title, (8.6, 3.8), draw)


def _save(path: Path, title: str, inches: tuple[float, float], draw: Any) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        axes = figure.subplots()
        axes.set_title(title, fontsize=10)
        draw(axes)
        axes.set_axisbelow(True)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
