"""Map elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cases.case import AIOBPF, AYA, BCC, CILIUM, LIBBPF, CommandCase, plain
from benchmarks.workload import LOOKUP_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.sizes import Sizes

ENTRANTS = plain(AIOBPF, LIBBPF, CILIUM, AYA, BCC)


def map_cases(sizes: Sizes) -> Iterator[CommandCase]:
    """Typed lookups one by one in a hash of u32 to two u64, and all of a hash of u32 to u64 at once."""
    yield CommandCase(
        key="lookup",
        title="Map lookup, typed, one at a time",
        unit="lookup",
        rounds=sizes.rounds,
        entrants=ENTRANTS,
        command="lookup",
        arguments=lambda workload: {"fd": workload.fd("lookups"), "keys": LOOKUP_KEYS, "count": sizes.lookups},
        prepare=lambda workload: workload.lookup_sum(sizes.lookups),
    )
    yield CommandCase(
        key="scan",
        title=f"Map scan of {sizes.scan_entries:,} entries",
        unit="entry",
        rounds=sizes.loads,
        entrants=ENTRANTS,
        command="scan",
        arguments=lambda workload: {"fd": workload.fd("scanned"), "count": workload.scan_entries},
        prepare=lambda workload: workload.fill_scanned(),
    )
