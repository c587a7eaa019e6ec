"""What every side reads: rings that are filled and maps that hold what is known, loaded once for the whole run."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING, final

from benchmarks.production import produce

if TYPE_CHECKING:
    from aiobpf import Collection, CollectionSpec, Map, Program

OBJECT = Path(__file__).parent / "objects" / "workload.bpf.o"

MAPS = ("ring_64", "ring_512", "lookups", "updates", "bulk", "scanned")
LOOKUP_KEYS = 4096


class RingFullError(Exception):
    """More records than a ring holds."""


@final
class Workload:
    """The loaded object. Every sum that a side answers with is known here beforehand."""

    def __init__(self, collection: Collection) -> None:
        self._programs: dict[int, Program] = {size: collection.programs[f"produce_{size}"] for size in (64, 512)}
        self._maps: dict[str, Map] = {name: collection.maps[name] for name in MAPS}
        self._next = 0
        self._scan_sum: int | None = None
        self.scan_entries = self._maps["scanned"].max_entries
        self._maps["lookups"].update_many((key, {"packets": key, "bytes": key * 64}) for key in range(LOOKUP_KEYS))

    @property
    def fds(self) -> tuple[int, ...]:
        """The maps' descriptors, for the sides."""
        return tuple(each.fileno() for each in self._maps.values())

    def fd(self, name: str) -> int:
        return self._maps[name].fileno()

    def map(self, name: str) -> Map:
        return self._maps[name]

    def producer_fd(self, size: int) -> int:
        """The program that submits records of *size* bytes."""
        return self._programs[size].fileno()

    @property
    def producer_fds(self) -> tuple[int, ...]:
        return tuple(each.fileno() for each in self._programs.values())

    def submit(self, size: int, count: int) -> int:
        """Submit *count* records of *size* bytes; the sum of their sequence numbers."""
        done = produce(self._programs[size], self.take_numbers(count), count)
        if done.submitted != count:
            raise RingFullError(f"only {done.submitted} of {count} records of {size} bytes found room")
        return done.sum

    def take_numbers(self, count: int) -> int:
        """The first of *count* sequence numbers that no record of this run has had."""
        first = self._next
        self._next += count
        return first

    def discard_left(self) -> None:
        """Empty the rings, which a side that failed left half read: the consumer's position becomes the producer's."""
        page = mmap.PAGESIZE
        for fd in (self.fd("ring_64"), self.fd("ring_512")):
            with mmap.mmap(fd, page) as consumer, mmap.mmap(fd, page, prot=mmap.PROT_READ, offset=page) as producer:
                consumer[:8] = producer[:8]

    def lookup_sum(self, count: int) -> int:
        """What the bytes of *count* looked-up values add up to."""
        return 64 * sum(number % LOOKUP_KEYS for number in range(count))

    def updates_are(self, salt: int, count: int) -> bool:
        """Whether *count* updates were made that had *salt* in them, the last under each key being what is left."""
        keys = min(count, LOOKUP_KEYS)
        found = {key: (value.packets, value.bytes) for key, value in self._maps["updates"].items()}
        last = {key: count - 1 - (count - 1 - key) % LOOKUP_KEYS for key in range(keys)}
        return found == {key: (last[key], key * 64 + salt) for key in range(keys)}

    def empty_bulk(self) -> None:
        self._maps["bulk"].delete_many(list(self._maps["bulk"]))

    def fill_bulk(self, count: int, salt: int = 0) -> int:
        """Make the map for many elements hold exactly *count*; the sum of its values."""
        self.empty_bulk()
        self._maps["bulk"].update_many({key: key ^ salt for key in range(count)})
        return sum(key ^ salt for key in range(count))

    def bulk_is(self, count: int, salt: int = 0) -> bool:
        """Whether it holds what `fill_bulk` would have put there."""
        return dict(self._maps["bulk"].items()) == {key: key ^ salt for key in range(count)}

    def fill_scanned(self) -> int:
        """Fill the large map, once; the sum of its values."""
        if self._scan_sum is None:
            self._maps["scanned"].update_many((key, key ^ 0xFFFF) for key in range(self.scan_entries))
            self._scan_sum = sum(key ^ 0xFFFF for key in range(self.scan_entries))
        return self._scan_sum


def workload_spec(scan_entries: int) -> CollectionSpec:
    """The object, with a large map of *scan_entries*."""
    from aiobpf import read_spec

    spec = read_spec(OBJECT)
    spec.maps["scanned"].max_entries = scan_entries
    return spec
