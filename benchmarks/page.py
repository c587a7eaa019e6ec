"""The page of the numbers: a document with generated parts, their data in one JSON file beside it, plots in a folder.

``docs/performance.md`` has ``docs/performance.json`` and ``docs/performance/*.svg``. Each part is measured, or read
from the JSON, and then written from the data alone: the page can be made again without measuring.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from benchmarks.sizes import FULL, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FORMAT = 1
"""Of the JSON file; one more when what older files say can no longer be read."""


@frozen
class Options:
    """What a run measures."""

    sizes: Sizes = FULL
    is_quick: bool = False
    only: Sequence[str] = ()
    """Cases whose key begins so; all if empty."""
    has_peers: bool = True


@frozen
class Part:
    """A generated part of the page.

    *measure* gives its data, which JSON can hold. *render* makes Markdown of that and draws plots into a folder, which
    the text refers to by `plot`.
    """

    name: str
    measure: Callable[[Options], dict[str, Any]]
    render: Callable[[Mapping[str, Any], Path], str]


def plot(folder: Path, name: str, alternative: str) -> str:
    """The Markdown that shows *name* in the page's folder of plots."""
    return f"![{alternative}]({folder.name}/{name})"


def folder_of(page: Path) -> Path:
    """Where the plots of *page* are."""
    return page.with_suffix("")


def data_of(page: Path) -> Path:
    """Where the data of *page* is."""
    return page.with_suffix(".json")


def markers(part: str) -> tuple[str, str]:
    """The lines around a part of the document."""
    return f"<!-- {part}: begin; written by `python -m benchmarks` -->", f"<!-- {part}: end -->"


def write_part(page: Path, part: str, text: str) -> None:
    """Replace what is between the markers of *part* in the document; ValueError if it has none."""
    begin, end = markers(part)
    document = page.read_text(encoding="utf-8")
    start, stop = document.find(begin), document.find(end)
    if start < 0 or stop < start:
        raise ValueError(f"{page.name} has no place for the {part}: {begin} ... {end}")
    page.write_text(f"{document[: start + len(begin)]}\n\n{text}\n\n{document[stop:]}", encoding="utf-8")


def read_data(path: Path) -> dict[str, Any]:
    """The data of all parts in the file at *path*, by their names; nothing if there is no file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("format") != FORMAT:
        raise ValueError(f"{path.name} has format {found.get('format')}, where {FORMAT} can be read: measure again")
    parts: dict[str, Any] = found["parts"]
    return parts


def write_data(path: Path, parts: Mapping[str, Any]) -> None:
    """All parts: a line for each case, so that a difference shows which one changed."""
    path.write_text(_lines({"format": FORMAT, "parts": dict(parts)}, depth=4) + "\n", encoding="utf-8")


def _lines(value: Any, depth: int) -> str:
    if depth and isinstance(value, dict) and value:
        inner = ",\n".join(f"{json.dumps(key)}: {_lines(each, depth - 1)}" for key, each in value.items())
        return f"{{\n{inner}\n}}"
    return json.dumps(value)
