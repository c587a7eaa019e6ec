"""What a stream has counted."""

from __future__ import annotations

from attrs import define, field


@define
class StreamStats:
    """Counts since the stream was opened, kept up to date; ``attrs.evolve(stats)`` is a copy to compare with later.

    What a producer tried to submit is ``records + discarded + lost`` plus what is still in the buffer. A ring buffer
    tells nobody that it was full (bpf_ringbuf_reserve just fails), so there `lost` is what the program itself counts,
    in a map or variable that the stream was given (docs/events.md has the convention).
    """

    records: int = 0
    """Records taken from the kernel."""
    bytes: int = 0
    """Their payload, headers not included."""
    lost: int = 0
    """Records that found the buffer full, as far as the kernel or the program tells."""
    lost_by_program: int = 0
    """Those of `lost` that the program counted."""
    overwritten: int = 0
    """Bytes of records, 8 a record for its header included, that a ring with BPF_F_RB_OVERWRITE overwrote unread."""
    discarded: int = 0
    """Records that the program reserved and then discarded (bpf_ringbuf_discard)."""
    decode_errors: int = 0
    """Records too short for the event type; they are not in `records`' batches."""
    batches: int = 0
    leased: int = 0
    """Those of `records` that were handed out in the ring buffer itself."""
    held: int = 0
    """The most bytes of the ring, headers included, that arrays kept beyond the lease of their batch."""
    wake_ups: int = 0
    """Times that the kernel woke a waiting reader."""
    coalesced: int = 0
    """Pauses made while records kept coming, to take more of them at once (`max_delay`)."""
    busy_pauses: int = 0
    """Pauses made because the next record was still being written."""
    high_water: int = 0
    """The most bytes seen waiting in the buffer (of one CPU), headers included; compare `capacity`."""
    capacity: int = 0
    """Bytes that the buffer (of one CPU) holds."""
    lost_by_cpu: dict[int, int] = field(factory=dict)
    """`lost`, by CPU number; perf buffers only, and only CPUs that lost any."""
