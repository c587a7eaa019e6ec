"""Records from this process to a program: the producer of a user ring buffer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, final, overload

import anyio
from attrs import define

from aiobpf.errors import ClosedError, SpecError
from aiobpf.kernel.fd import duplicate
from aiobpf.kernel.info import map_info
from aiobpf.kernel.worker import close_in_worker, in_worker
from aiobpf.stream.event_type import EventMap, resolve_event_type
from aiobpf.stream.readers import claim, unclaim
from aiobpf.stream.scoped import Scoped
from aiobpf.stream.user_ring_memory import UserRingMemory
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    import builtins
    from types import TracebackType

    from aiobpf.btf import Type

T = TypeVar("T")

FIRST_PAUSE_S: Final = 50e-6
LONGEST_PAUSE_S: Final = 0.02
LONGEST_WAIT_S: Final = 0.5
"""A program that drains with BPF_RB_NO_WAKEUP makes room and tells nobody."""


@define
class UserRingStats:
    """Counts since the stream was opened."""

    records: int = 0
    """Records submitted."""
    sent_bytes: int = 0
    """Their payload, headers not included."""
    discarded: int = 0
    """Records that were reserved and then discarded."""
    full: int = 0
    """Times that a record found no room at first: those that waited, or that `try_send` refused."""
    capacity: int = 0
    """Bytes that the ring holds, 8 a record for its header included."""


@final
class UserRingBuffer(Scoped, Generic[T]):
    """The producer of a BPF_MAP_TYPE_USER_RINGBUF map (Linux 6.1), which a program drains (bpf_user_ringbuf_drain).

    ``await ring.send(value)`` encodes by *type* (as `RingBuffer` takes it: the map's value type by default; or bytes)
    and waits while the ring is full. Nothing runs the program: it drains when it is hit, or `Program.run` does it.

    A ring has one producer: SpecError while another stream of this process is open on the map. Threads of this process
    may share this one. SpecError if the map is of another kind or no type is found.
    """

    @overload
    def __init__(self: UserRingBuffer[bytes], map: EventMap, type: builtins.type[bytes]) -> None: ...
    @overload
    def __init__(self, map: EventMap, type: builtins.type[T]) -> None: ...
    @overload
    def __init__(self: UserRingBuffer[Any], map: EventMap, type: Type | str | None = None) -> None: ...
    def __init__(
        self,
        map: EventMap,  # noqa: A002 - the field's own word
        type: Type | str | builtins.type[Any] | None = None,  # noqa: A002
    ) -> None:
        if map.type != MapType.USER_RINGBUF:
            raise SpecError(f"map {map.name!r} is a {map.type.name} map, no USER_RINGBUF")
        self._map = map
        self._what = f"map {map.name!r}"
        self._codec = resolve_event_type(map, type).codec
        self._memory: UserRingMemory | None = None
        self._claimed: int | None = None
        self._waiting = anyio.Lock()
        self._reserved: set[Reservation] = set()
        self.stats = UserRingStats(capacity=map.max_entries)

    # --- lifetime -----------------------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Map the ring; what ``async with`` does first. SpecError when another stream of this process has the map."""
        if self._is_closed:
            raise ClosedError(f"the stream to {self._what} is closed")
        if self._claimed is not None:
            raise SpecError(f"the stream to {self._what} is open already")
        fd = duplicate(self._map, self._what)
        size = self._map.max_entries
        try:
            map_id = map_info(fd, subject=self._what).id
            claim(map_id, self, self._what, "filled")
            self._claimed = map_id
            self._memory = await in_worker(UserRingMemory, fd, size, dispose=UserRingMemory.close)
        except BaseException:
            unclaim(self._claimed, self)
            self._claimed = None
            fd.close()
            raise
        return self

    async def aclose(self) -> None:
        """Close; again, nothing. What was submitted stays in the map for the program; what is reserved is discarded."""
        self._is_closed = True
        memory, self._memory = self._memory, None
        if memory is not None:
            for reservation in tuple(self._reserved):
                reservation.discard()
            anyio.notify_closing(memory.fileno())
            try:
                await close_in_worker(memory)
            finally:
                unclaim(self._claimed, self)
                self._claimed = None

    def __del__(self) -> None:
        memory: UserRingMemory | None = getattr(self, "_memory", None)
        if memory is not None:
            self._memory = None
            memory.close()
            warnings.warn(f"the stream to {self._what} was never closed", ResourceWarning, stacklevel=2, source=self)

    def _open_or_raise(self) -> UserRingMemory:
        if self._memory is None:
            state = "closed" if self._is_closed else "not open yet: use it in 'async with'"
            raise ClosedError(f"the stream to {self._what} is {state}")
        return self._memory

    # --- records ------------------------------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:
        """Bytes that the program has not drained yet, headers included."""
        return self._open_or_raise().used

    async def send(self, value: T) -> None:
        """Submit one record, waiting while the ring is full; those that wait are served in order.

        CodecError where *value* is not of the type, SpecError where it can never fit.
        """
        data = self._encode(value)
        memory = self._open_or_raise()
        if self._waiting.locked() or not memory.write(data):
            self.stats.full += 1
            async with self._waiting:
                await self._until_there_is_room(lambda memory: memory.write(data))
        self._count(len(data))

    def try_send(self, value: T) -> bool:
        """Submit one record; False if the ring is full, or others wait for it."""
        data = self._encode(value)
        memory = self._open_or_raise()
        if self._waiting.locked() or not memory.write(data):
            self.stats.full += 1
            return False
        self._count(len(data))
        return True

    async def reserve(self, size: int) -> Reservation:
        """*size* bytes of the ring to be written in place: ``with await ring.reserve(64) as room: room[:8] = ...``.

        Waits while the ring is full. The program sees nothing of later records before this one is committed, which the
        end of ``with`` does; an exception discards it.
        """
        self._open_or_raise()
        made: list[Reservation] = []

        def reserve(memory: UserRingMemory) -> bool:
            found = memory.reserve(size)
            if found is not None:
                made.append(Reservation(self, memory, *found))
            return found is not None

        async with self._waiting:
            await self._until_there_is_room(reserve, counts=True)
        self._reserved.add(made[0])
        return made[0]

    def _encode(self, value: T) -> bytes:
        if self._codec is not None:
            return self._codec.encode(value)
        return bytes(value)  # type: ignore[call-overload, no-any-return] # T is bytes where there is no codec

    def _count(self, size: int) -> None:
        self.stats.records += 1
        self.stats.sent_bytes += size

    async def _until_there_is_room(self, attempt: Any, *, counts: bool = False) -> None:
        pause = FIRST_PAUSE_S
        while not attempt(self._open_or_raise()):
            if counts:
                self.stats.full += 1
                counts = False
            memory = self._open_or_raise()
            if memory.used >= memory.size:
                # Writable means that there is any room at all, so this is for a ring that is full to the last byte.
                with anyio.move_on_after(LONGEST_WAIT_S):
                    try:
                        await anyio.wait_writable(memory.fileno())
                    except anyio.ClosedResourceError:
                        continue  # which raises, by name
            else:
                await anyio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)

    def _forget(self, reservation: Reservation, size: int, *, discarded: bool) -> None:
        self._reserved.discard(reservation)
        if discarded:
            self.stats.discarded += 1
        else:
            self._count(size)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._memory is not None else "new"
        return f"<{state} UserRingBuffer of {self._what}>"


@final
class Reservation:
    """Room for one record, until `commit` or `discard`."""

    __slots__ = ("_memory", "_offset", "_room", "_size", "_stream")

    def __init__(self, stream: UserRingBuffer[Any], memory: UserRingMemory, offset: int, room: memoryview) -> None:
        self._stream = stream
        self._memory = memory
        self._offset = offset
        self._room: memoryview | None = room
        self._size = len(room)

    @property
    def room(self) -> memoryview:
        """The record's bytes, writable; what was there before is still in it. ClosedError once it is over."""
        if self._room is None:
            raise ClosedError("the record is committed or discarded already")
        return self._room

    def commit(self) -> None:
        """Submit the record; its memory is no longer to be written."""
        self._end(discard=False)

    def discard(self) -> None:
        """Have the program pass over it; once it is over, nothing."""
        if self._room is not None:
            self._end(discard=True)

    def _end(self, *, discard: bool) -> None:
        self.room.release()
        self._room = None
        self._memory.commit(self._offset, discard=discard)
        self._stream._forget(self, self._size, discarded=discard)

    def __enter__(self) -> memoryview:
        return self.room

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        elif self._room is not None:
            self.commit()
