"""What this aiobpf does not do."""

from __future__ import annotations


class UnsupportedError(Exception):
    """The side answers that it has no such thing, which is no failure."""
