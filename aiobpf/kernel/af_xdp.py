"""AF_XDP sockets: packets between an XDP program and memory of this process (4.18; networking/af_xdp.rst).

A socket has four rings of descriptors over one area of frames (UMEM): frames for the kernel to fill, frames that it
filled, frames to send, and frames that it has sent. Rings are shared memory; here is what moves them on.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import socket
import struct
import time
from typing import TYPE_CHECKING, final

from attrs import frozen

from aiobpf._native import ffi
from aiobpf.errors import kernel_error
from aiobpf.kernel.atomic import AtomicInteger
from aiobpf.kernel.capabilities import Capability, privilege_error
from aiobpf.kernel.fd import OwnedFd
from aiobpf.kernel.mapped import map_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

AF_XDP = 44
_SOL_XDP = 283
_MMAP_OFFSETS, _RX_RING, _TX_RING, _UMEM_REG, _FILL_RING, _COMPLETION_RING, _STATISTICS = range(1, 8)  # XDP_*
COPY, ZEROCOPY = 1 << 1, 1 << 2  # of sxdp_flags
_PAGE_OFFSETS = {_RX_RING: 0, _TX_RING: 0x80000000, _FILL_RING: 0x100000000, _COMPLETION_RING: 0x180000000}
_UMEM = struct.Struct("=QQIIII")  # struct xdp_umem_reg
_ADDRESS = struct.Struct("=HHIII")  # struct sockaddr_xdp
_OFFSETS = struct.Struct("=16Q")  # producer, consumer, descriptors and flags of rx, tx, fill, completion (5.4)
_DESCRIPTOR, _FRAME = 16, 8  # bytes of a struct xdp_desc, of a frame's address
_WRAP = 0xFFFFFFFF
_QUEUE_PATIENCE_S, _POLL_S = 0.5, 0.005
"""A kernel work queue frees the queue of a socket that was closed some time later (xp_release_deferred)."""


@frozen
class XskStatistics:
    """Packets that were lost, counted since the socket was bound (XDP_STATISTICS)."""

    rx_dropped: int
    """For other reasons than a full ring."""
    rx_invalid: int
    tx_invalid: int
    rx_ring_full: int = 0
    """The reader was too slow (5.9)."""
    fill_ring_empty: int = 0
    """The kernel had no frame to fill (5.9)."""
    tx_ring_empty: int = 0


@final
class XskRing:
    """One ring, of which this process moves the producer or the consumer on."""

    def __init__(self, fd: OwnedFd, kind: int, offsets: Sequence[int], entries: int, entry_bytes: int) -> None:
        producer, consumer, descriptors, _flags = offsets
        view = map_shared(fd, descriptors + entries * entry_bytes, offset=_PAGE_OFFSETS[kind], writable=True)
        what = f"ring of {fd.what}"
        self._producer = AtomicInteger(view, producer, 4, is_signed=False, what=what)
        self._consumer = AtomicInteger(view, consumer, 4, is_signed=False, what=what)
        self._words = memoryview(view)[descriptors:].cast("I")
        self._longs = memoryview(view)[descriptors:].cast("Q")
        self._entries = entries
        self._is_frames = entry_bytes == _FRAME

    @property
    def ready(self) -> int:
        """How many entries the consumer has before it."""
        return (self._producer.load() - self._consumer.load()) & _WRAP

    @property
    def room(self) -> int:
        """How many the producer may put."""
        return self._entries - self.ready

    def put(self, entries: Sequence[tuple[int, int]]) -> None:
        """Produce (address, length) of frames, of which there must be no more than `room`."""
        at = self._producer.load()
        for number, (address, length) in enumerate(entries):
            slot = (at + number) % self._entries
            if self._is_frames:
                self._longs[slot] = address
            else:
                self._longs[2 * slot] = address
                self._words[4 * slot + 2] = length
                self._words[4 * slot + 3] = 0
        self._producer.store((at + len(entries)) & _WRAP)

    def take(self, most: int) -> list[tuple[int, int]]:
        """Consume up to *most* entries: (address, length), length 0 in a ring of frames."""
        count = min(self.ready, most)
        at = self._consumer.load()
        slots = [(at + number) % self._entries for number in range(count)]
        if self._is_frames:
            taken = [(self._longs[slot], 0) for slot in slots]
        else:
            taken = [(self._longs[2 * slot], self._words[4 * slot + 2]) for slot in slots]
        self._consumer.store((at + count) & _WRAP)
        return taken


@final
class XskPort:
    """A bound AF_XDP socket, its frames and rings, until `close`."""

    def __init__(self, interface: int, queue: int, *, frames: int, frame_size: int, entries: int, flags: int) -> None:
        """In the calling thread's network namespace. Raises KernelError: EINVAL, EOPNOTSUPP for ZEROCOPY, EBUSY for a
        queue that is taken, ENOBUFS beyond RLIMIT_MEMLOCK; MissingPrivilegeError without CAP_NET_RAW."""
        self.what = f"AF_XDP socket on queue {queue} of interface {interface}"
        self.frame_size = frame_size
        self.memory = mmap.mmap(-1, frames * frame_size)
        try:
            fd = socket.socket(AF_XDP, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK).detach()
        except OSError as error:
            raise privilege_error(error.errno or errno.EIO, "socket", self.what, (Capability.NET_RAW,)) from error
        self.fd = OwnedFd(fd, self.what)
        try:
            self._set_up(interface, queue, frames, entries, flags)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the queue: unmap the rings, whose mappings hold the socket open, and close it. Idempotent."""
        for ring in ("received", "to_send", "to_fill", "sent"):
            self.__dict__.pop(ring, None)
        self.fd.close()

    def _set_up(self, interface: int, queue: int, frames: int, entries: int, flags: int) -> None:
        address = int(ffi.cast("uintptr_t", ffi.from_buffer(self.memory)))
        self._set(_UMEM_REG, _UMEM.pack(address, frames * self.frame_size, self.frame_size, 0, 0, 0), "XDP_UMEM_REG")
        for kind in (_FILL_RING, _COMPLETION_RING, _RX_RING, _TX_RING):
            self._set(kind, struct.pack("=i", entries), f"ring of {entries}")
        offsets = _OFFSETS.unpack(self._get(_MMAP_OFFSETS, _OFFSETS.size))
        self.received = XskRing(self.fd, _RX_RING, offsets[0:4], entries, _DESCRIPTOR)
        self.to_send = XskRing(self.fd, _TX_RING, offsets[4:8], entries, _DESCRIPTOR)
        self.to_fill = XskRing(self.fd, _FILL_RING, offsets[8:12], entries, _FRAME)
        self.sent = XskRing(self.fd, _COMPLETION_RING, offsets[12:16], entries, _FRAME)
        # socket.bind knows no AF_XDP.
        libc = ctypes.CDLL(None, use_errno=True)
        name = _ADDRESS.pack(AF_XDP, flags, interface, queue, 0)
        deadline = time.monotonic() + _QUEUE_PATIENCE_S
        while libc.bind(self.fd.fileno(), name, len(name)) != 0:
            number = ctypes.get_errno()
            if number == errno.EBUSY and time.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            hints = {
                errno.EOPNOTSUPP: "Its driver has no zero copy for AF_XDP",
                errno.EBUSY: "Another socket has the queue",
                errno.EINVAL: "It has no such queue",
            }
            raise kernel_error(number, "bind", self.what, hints.get(number))

    def _set(self, option: int, value: bytes, what: str) -> None:
        with socket.socket(AF_XDP, socket.SOCK_RAW, 0, self.fd.duplicate().detach()) as sock:
            try:
                sock.setsockopt(_SOL_XDP, option, value)
            except OSError as error:
                hint = (
                    "It counts against RLIMIT_MEMLOCK: raise it (ulimit -l)" if error.errno == errno.ENOBUFS else None
                )
                raise kernel_error(error.errno or errno.EIO, what, self.what, hint) from error

    def _get(self, option: int, size: int) -> bytes:
        with socket.socket(AF_XDP, socket.SOCK_RAW, 0, self.fd.duplicate().detach()) as sock:
            try:
                return sock.getsockopt(_SOL_XDP, option, size)
            except OSError as error:
                raise kernel_error(error.errno or errno.EIO, "getsockopt", self.what) from error

    def wake(self) -> bool:
        """Have the kernel look at what is to be sent (copy mode sends then and there); whether it took all that it
        could. KernelError: ENETDOWN, ENXIO."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.sendto(self.fd.fileno(), None, 0, socket.MSG_DONTWAIT, None, 0) >= 0:
            return True
        number = ctypes.get_errno()
        if number in {errno.EAGAIN, errno.EBUSY, errno.ENOBUFS}:  # some of them: call again
            return False
        raise kernel_error(number, "sendto", self.what)

    def statistics(self) -> XskStatistics:
        data = self._get(_STATISTICS, 48)
        return XskStatistics(*struct.unpack(f"={len(data) // 8}Q", data))
