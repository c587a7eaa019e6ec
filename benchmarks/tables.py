"""Numbers and tables as Markdown."""

from __future__ import annotations


def duration(ns: float) -> str:
    """In a unit that leaves one to three digits before the point."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size * 0.9995:  # which would be rounded up to it
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def table(head: list[str], rows: list[list[str]]) -> str:
    """All but the first column to the right; a row that is too short is filled up."""
    full = [row + [""] * (len(head) - len(row)) for row in rows]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *full]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
