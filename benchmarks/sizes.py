"""How much is measured."""

from __future__ import annotations

from attrs import frozen


@frozen
class Sizes:
    """Counts of one sample, and how many samples: rather many short ones, for others may work on the machine."""

    rounds: int = 15
    records_64: int = 200_000
    records_512: int = 30_000
    flood_64: int = 1_000_000
    flood_512: int = 200_000
    live_s: float = 1.0
    """Seconds of each fixed rate."""
    live_rounds: int = 3
    wake_ups: int = 300
    lookups: int = 20_000
    bulk_entries: int = 100_000
    scan_entries: int = 1_000_000
    instructions: int = 10_000
    """Of a program; another has ten times as many."""
    objects: int = 24
    loads: int = 7
    """Rounds of what takes long: loading objects, opening the kernel's BTF in fresh processes, the large map."""


FULL = Sizes()
QUICK = Sizes(
    rounds=3,
    records_64=5_000,
    records_512=1_000,
    flood_64=20_000,
    flood_512=5_000,
    live_s=0.05,
    live_rounds=1,
    wake_ups=20,
    lookups=2_000,
    bulk_entries=2_000,
    scan_entries=5_000,
    instructions=1_000,
    objects=4,
    loads=2,
)
