"""One test run of a producer of the workload: what it is asked, and what it says was done."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from aiobpf import Program

_REQUEST = struct.Struct("=QQQQQQ")  # struct request of the object


@frozen
class Produced:
    """Records that found room, attempts that did not, and the sum of the sequence numbers of those that did."""

    submitted: int
    lost: int
    sum: int


def produce(program: Program, first: int, count: int, *, is_lossy: bool = False) -> Produced:
    """Submit *count* records, numbered from *first*.

    Where the ring is full the run ends, so ``first + submitted`` is the next; if *is_lossy* it goes on, and that record
    is lost.
    """
    done = program.run_sync(context=_REQUEST.pack(count, first, is_lossy, 0, 0, 0))
    return Produced(*_REQUEST.unpack(done.context)[3:])
