"""Map elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.cases.case import (
    AIOBPF,
    AYA,
    BCC,
    CILIUM,
    LIBBPF,
    CaseError,
    CommandCase,
    Entrant,
    checked,
    plain,
    timed,
)
from benchmarks.workload import LOOKUP_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.samples import Sample
    from benchmarks.side import Side
    from benchmarks.sizes import Sizes
    from benchmarks.workload import Workload

ENTRANTS = plain(AIOBPF, LIBBPF, CILIUM, AYA, BCC)
LISTS = "aiobpf, to lists"


@frozen
class WriteCase:
    """A case that changes a map: what it holds afterwards is what proves the work. A new *salt* each time is in it."""

    key: str
    title: str
    unit: str
    rounds: int
    count: int
    map_name: str
    expected: int
    """The sum that a side answers."""
    is_done: Callable[[Workload, int], bool]
    prepare: Callable[[Workload], object] = lambda workload: None
    entrants: tuple[Entrant, ...] = ENTRANTS
    needs_fresh_process: bool = False
    warm_ups: int = 1

    def sample(self, side: Side, entrant: Entrant, workload: Workload) -> Sample:
        self.prepare(workload)
        salt = workload.take_numbers(1) & 0xFFFF
        arguments: dict[str, object] = {"fd": workload.fd(self.map_name), "keys": LOOKUP_KEYS}
        answer = checked(side.ask(self.key, {**arguments, "count": self.count, "salt": salt}), self.expected)
        if not self.is_done(workload, salt):
            raise CaseError("the map does not hold what it should")
        return timed(answer)


def map_cases(sizes: Sizes) -> Iterator[CommandCase | WriteCase]:
    """One by one and typed in a hash of u32 to two u64; many at once in a hash of u32 to u64."""
    bulk = sizes.bulk_entries
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
    yield WriteCase(
        key="update",
        title="Map update, typed, one at a time",
        unit="update",
        rounds=sizes.rounds,
        count=sizes.lookups,
        map_name="updates",
        expected=sum(number % LOOKUP_KEYS for number in range(sizes.lookups)),
        is_done=lambda workload, salt: workload.updates_are(salt, sizes.lookups),
    )
    yield CommandCase(
        key="bulk-lookup",
        title=f"Map lookup of {bulk:,} entries at once",
        unit="entry",
        rounds=sizes.loads,
        entrants=(ENTRANTS[0], Entrant(LISTS, AIOBPF, {"mode": "lists"}), *ENTRANTS[1:]),
        command="bulk-lookup",
        arguments=lambda workload: {"fd": workload.fd("bulk"), "count": bulk},
        prepare=lambda workload: workload.fill_bulk(bulk),
    )
    yield WriteCase(
        key="bulk-update",
        title=f"Map update of {bulk:,} entries at once, which were not there",
        unit="entry",
        rounds=sizes.loads,
        count=bulk,
        map_name="bulk",
        expected=bulk,
        prepare=lambda workload: workload.empty_bulk(),
        is_done=lambda workload, salt: workload.bulk_is(bulk, salt),
    )
    yield WriteCase(
        key="bulk-delete",
        title=f"Map delete of {bulk:,} entries at once",
        unit="entry",
        rounds=sizes.loads,
        count=bulk,
        map_name="bulk",
        expected=bulk,
        prepare=lambda workload: workload.fill_bulk(bulk),
        is_done=lambda workload, salt: workload.bulk_is(0),
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
