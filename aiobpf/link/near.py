"""What somebody may have meant who wrote a name that does not exist."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def near_matches(name: str, names: Iterable[str]) -> list[str]:
    """At most five of *names* that *name* may have meant, best first; quick for 200,000 of them."""
    lower = name.lower()
    # difflib takes 10 us a pair: let it see only names that share a beginning with this one, or contain it.
    likely = {
        other
        for other in names
        if abs(len(other) - len(name)) <= max(3, len(name) // 2)
        and (other[:1].lower() == lower[:1] or lower.strip("_") in other.lower())
    }
    same_start = sorted(likely, key=lambda other: (-_common_start(name, other), other))
    return difflib.get_close_matches(name, same_start[:3000], n=5, cutoff=0.7)


def _common_start(one: str, other: str) -> int:
    """How many characters both begin with."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def near_hint(name: str, names: Iterable[str]) -> str:
    """ "; near: a, b", or nothing."""
    near = near_matches(name, names)
    return f"; near: {', '.join(near)}" if near else ""
