"""Maps that the harness loaded, typed by the object they come from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aiobpf import Map, read_spec
from aiobpf.kernel.fd import duplicate

if TYPE_CHECKING:
    from aiobpf import CollectionSpec

WORKLOAD = Path(__file__).parent.parent / "objects" / "workload.bpf.o"


@cache
def workload_spec() -> CollectionSpec:
    return read_spec(WORKLOAD)


def given_map(fd: int, name: str) -> Map:
    """The map behind *fd*, which stays the harness's; *name* is the map's in the workload."""
    spec = workload_spec()
    return Map.from_fd(duplicate(fd, f"map {name!r}"), spec.maps[name], spec.types)
