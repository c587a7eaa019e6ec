"""Which way packets go through an interface, seen from the stack."""

from __future__ import annotations

from enum import Enum


class Direction(Enum):
    INGRESS = "ingress"
    """Into the stack."""
    EGRESS = "egress"
    """Out of it."""
