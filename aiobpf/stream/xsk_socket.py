"""AF_XDP sockets for asyncio and trio: packets that an XDP program sends to this process, and packets sent past the
stack."""

from __future__ import annotations

import errno
import warnings
from enum import Enum
from typing import TYPE_CHECKING, final

import anyio
import anyio.lowlevel

from aiobpf.errors import ClosedError, SpecError
from aiobpf.kernel import af_xdp, in_worker
from aiobpf.kernel.interfaces import find_interface, no_interface
from aiobpf.kernel.netns import NetNamespace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from aiobpf.kernel import FdLike
    from aiobpf.kernel.af_xdp import XskPort, XskStatistics


class XskMode(Enum):
    """How frames get from the driver to the socket."""

    AUTO = "auto"
    """Without a copy where the driver can, else with one."""
    COPY = "copy"
    ZERO_COPY = "zero_copy"


_FLAGS = {XskMode.AUTO: 0, XskMode.COPY: af_xdp.COPY, XskMode.ZERO_COPY: af_xdp.ZEROCOPY}
_AT_ONCE = 64


@final
class XskSocket:
    """A socket on one queue of an interface; put it into a map: ``coll.maps["sockets"][queue] = xsk``.

    What the XDP program redirects there arrives in frames of this process' memory. `batches` gives them without a copy;
    `send` takes packets (whole Ethernet frames) that skip the stack. One task may receive while another sends.
    """

    __slots__ = ("__weakref__", "_frames", "_free", "_port", "_taken", "_views")

    def __init__(self, port: XskPort, frames: int) -> None:
        """`open` makes them. Half of the frames are the kernel's to fill, the others carry what is sent."""
        self._port: XskPort | None = port
        self._frames = memoryview(port.memory)
        self._taken: list[tuple[int, int]] = []
        self._views: list[memoryview] = []
        half = frames // 2
        port.to_fill.put([(number * port.frame_size, 0) for number in range(half)])
        self._free = [number * port.frame_size for number in range(half, frames)]

    @classmethod
    async def open(
        cls,
        interface: str | int,
        queue: int = 0,
        *,
        frames: int = 4096,
        frame_size: int = 2048,
        mode: XskMode | str = XskMode.AUTO,
        netns: str | FdLike | None = None,
    ) -> Self:
        """On *queue* of *interface* (name or index, in *netns* or the calling thread's network namespace).

        *frames* of *frame_size* bytes (2048 or 4096) are locked in memory; *frames* is a power of two, 4 at least.
        Raises KernelError (ENODEV with the interfaces that there are, EINVAL, EBUSY, ENOBUFS), MissingPrivilegeError.
        """
        if frames < 4 or frames & (frames - 1) or frame_size not in {2048, 4096}:
            raise SpecError(f"an AF_XDP socket has a power of two of frames, of 2048 or 4096 bytes: not {frames} of "
                            f"{frame_size}")  # fmt: skip
        flags = _FLAGS[XskMode(mode)]

        def make() -> Self:
            with namespace.duplicate() as inside, inside.entered():
                index = find_interface(interface)
                try:
                    port = af_xdp.XskPort(
                        index, queue, frames=frames, frame_size=frame_size, entries=frames // 2, flags=flags
                    )
                except OSError as error:
                    if error.errno == errno.ENODEV:
                        raise no_interface(interface) from error
                    raise
                return cls(port, frames)

        with NetNamespace.of_this_thread() if netns is None else NetNamespace.open(netns) as namespace:
            return await in_worker(make, dispose=_close)

    def fileno(self) -> int:
        """The descriptor, for a map of sockets. ClosedError once closed."""
        return self._owned().fd.fileno()

    @property
    def statistics(self) -> XskStatistics:
        """What was lost, and why."""
        return self._owned().statistics()

    async def receive(self, most: int = _AT_ONCE) -> list[memoryview]:
        """Wait for packets and take up to *most*: views into the frames, good until the next call.

        The kernel drops what comes while it has no frame to fill; `statistics` counts that. ClosedError once closed.
        """
        await anyio.lowlevel.checkpoint()
        port = self._owned()
        self._give_back(port)
        while not port.received.ready:
            await self._readable(port)
            port = self._owned()
        self._taken = port.received.take(most)
        self._views = [self._frames[address : address + length].toreadonly() for address, length in self._taken]
        return self._views

    def batches(self, most: int = _AT_ONCE) -> XskBatches:
        """``async for batch in xsk.batches()``: what `receive` gives, again and again."""
        return XskBatches(self, most)

    def _give_back(self, port: XskPort) -> None:
        for view in self._views:
            view.release()
        taken, self._taken, self._views = self._taken, [], []
        # Addresses come with the headroom in them; the kernel masks that off again (xp_aligned_extract_addr).
        port.to_fill.put(taken)

    async def _readable(self, port: XskPort) -> None:
        try:
            await anyio.wait_readable(port.fd.fileno())
        except anyio.ClosedResourceError as error:
            raise ClosedError(f"{port.what} is closed") from error

    async def send(self, packets: Iterable[bytes | memoryview]) -> None:
        """Send whole Ethernet frames; returns when the kernel has taken all of them, waiting for frames to be free.

        Raises SpecError for a packet longer than a frame, KernelError (ENETDOWN), ClosedError.
        """
        for packet in packets:
            port = self._owned()
            if not 14 <= len(packet) <= port.frame_size:
                raise SpecError(f"{port.what}: a packet of {len(packet)} bytes; it takes 14 to {port.frame_size}")
            while not self._free or not port.to_send.room:
                await self._collect(port)
            address = self._free.pop()
            self._frames[address : address + len(packet)] = packet
            port.to_send.put([(address, len(packet))])
        port = self._owned()
        while not port.wake() or port.to_send.ready:
            await self._collect(port)
        self._free += [address for address, _ in port.sent.take(len(self._frames))]
        await anyio.lowlevel.checkpoint()

    async def _collect(self, port: XskPort) -> None:
        """Take back what was sent; lets others run."""
        port.wake()
        self._free += [address for address, _ in port.sent.take(len(self._frames))]
        await anyio.lowlevel.checkpoint()
        self._owned()

    # --- lifetime -----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Let go of the queue; idempotent. Who waits for packets gets ClosedError."""
        port, self._port = self._port, None
        if port is not None:
            anyio.notify_closing(port.fd.fileno())
            await in_worker(port.close, shield=True)

    def _owned(self) -> XskPort:
        if self._port is None:
            raise ClosedError("the AF_XDP socket is closed")
        return self._port

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        port: XskPort | None = getattr(self, "_port", None)
        if port is not None:
            self._port = None
            port.close()
            warnings.warn(f"{port.what} was never closed", ResourceWarning, stacklevel=2, source=self)


@final
class XskBatches:
    """Packets in batches; ends when nobody asks any more, or with ClosedError."""

    __slots__ = ("_most", "_xsk")

    def __init__(self, xsk: XskSocket, most: int) -> None:
        self._xsk = xsk
        self._most = most

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[memoryview]:
        return await self._xsk.receive(self._most)


def _close(xsk: XskSocket) -> None:
    port, xsk._port = xsk._port, None
    if port is not None:
        port.close()
