"""BPF_PROG_TEST_RUN."""

# ruff: noqa: PT028 - a function whose name, the kernel's, begins with test_

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from attrs import define

from aiobpf.errors import NotSupportedError, kernel_error
from aiobpf.kernel.fd import FdLike, number
from aiobpf.kernel.layout import Layout, Record
from aiobpf.kernel.release import kernel_release
from aiobpf.kernel.syscall import ENOTSUPP, bpf
from aiobpf.uapi import Command, RunFlags

if TYPE_CHECKING:
    from typing_extensions import Buffer

_RUN = Layout(
    "prog_fd:I retval:I data_size_in:I data_size_out:I data_in:P data_out:P repeat:I duration:I ctx_size_in:I"
    " ctx_size_out:I ctx_in:P ctx_out:P flags:I cpu:I batch_size:I"
)
_LIVE_BATCH = 64  # TEST_XDP_BATCH's, NAPI_POLL_WEIGHT
ATTEMPTS = 6
_CONTEXT_ROOM = 512  # struct __sk_buff, the largest, is 192
_ROOM = 256  # XDP may grow a packet by its headroom; beside the input this has always been enough


@define
class TestRun:
    """What a test run gave back."""

    __test__ = False  # not a test, whatever pytest makes of its name

    retval: int
    """What the program returned, as unsigned 32 bits."""
    data: bytes
    """The packet as the program left it."""
    context: bytes
    """The context as the program left it."""
    duration_ns: int
    """The mean of one run."""


def test_run(
    program: FdLike,
    data: Buffer = b"",
    *,
    context: Buffer = b"",
    repeat: int = 1,
    data_size_out: int | None = None,
    context_size_out: int | None = None,
    flags: int = 0,
    cpu: int = 0,
    batch_size: int = 0,
    attempts: int = ATTEMPTS,
    subject: str = "program",
    rules: str | None = None,
) -> TestRun:
    """Run *program* once or *repeat* times on *data* and *context* (BPF_PROG_TEST_RUN, 4.12).

    Sizes in bytes; the sizes out are those of the room to give (None: by the input), and ENOSPC says it was too small.
    *flags*: `RunFlags.RUN_ON_CPU` runs a raw tracepoint program on *cpu* (5.10). `RunFlags.XDP_LIVE_FRAMES` (5.18) lets
    the kernel do with each of *repeat* packets what the XDP program says: PASS lets it in, TX and REDIRECT send it, as
    many as *batch_size* at once (0: 64); only the time comes back. They come from the loopback interface of the calling
    thread's network namespace, or from where *context* (struct xdp_md) says.

    Some types take no data (raw tracepoint, syscall), some no *repeat*: EINVAL, to which *rules* are said.
    NotSupportedError where this kernel
    cannot run the type so.

    A signal may end a run before all repetitions are done (EINTR), and nobody tells how many were. It is begun again,
    up to *attempts* times in all, so what the program does may be done more often than *repeat* says; one repetition is
    never interrupted, and packets that were sent as live frames are not sent again.
    """
    data_in, context_in = bytes(data), bytearray(context)
    if data_size_out is None:
        data_size_out = len(data_in) + _ROOM if data_in and not flags & RunFlags.XDP_LIVE_FRAMES else 0
    if context_size_out is None:
        # The kernel gives its whole struct back, and ENOSPC where there is less room.
        context_size_out = max(len(context_in), _CONTEXT_ROOM) if context_in else 0
    data_out, context_out = bytearray(data_size_out), bytearray(context_size_out)
    if flags & RunFlags.XDP_LIVE_FRAMES and not batch_size:
        # What 0 means. Said in words: a kernel from 5.10 to 5.17 takes the flag, forgets it and runs the program as
        # ever, but refuses this field, which it does not know.
        batch_size = _LIVE_BATCH

    def run(context_out: bytearray) -> tuple[int, Record]:
        attr = _RUN.make(
            prog_fd=number(program),
            data_size_in=len(data_in),
            data_size_out=len(data_out),
            data_in=data_in,
            data_out=data_out,
            # Raw tracepoint and syscall programs refuse any repeat, and to all others 0 means 1.
            repeat=0 if repeat == 1 else repeat,
            ctx_size_in=len(context_in),
            ctx_size_out=len(context_out),
            ctx_in=context_in,
            ctx_out=context_out,
            flags=flags,
            cpu=cpu,
            batch_size=batch_size,
        )
        return -bpf(Command.PROG_TEST_RUN, attr), attr

    error, attr = run(context_out)
    if not flags & RunFlags.XDP_LIVE_FRAMES:
        for _ in range(attempts - 1):
            if error != errno.EINTR:
                break
            error, attr = run(context_out)
    if error == errno.EINVAL and context_out:
        # Raw tracepoint and syscall programs refuse it; the latter write to the context that they were given.
        error, attr = run(bytearray())
        context_out = context_in
    if error in {ENOTSUPP, errno.EOPNOTSUPP}:
        raise NotSupportedError(f"{subject}: this kernel has no test run for its program type")
    if error > 0:
        if error == errno.EINVAL and flags & RunFlags.XDP_LIVE_FRAMES and kernel_release() < (5, 18):
            raise NotSupportedError(f"{subject}: a run with live frames", "5.18")
        hint = "A signal came before all repetitions were done" if error == errno.EINTR else None
        if error == errno.EINVAL:
            hint = rules
        raise kernel_error(error, "BPF_PROG_TEST_RUN", subject, hint)
    context_size = len(context_out) if context_out is context_in else min(attr["ctx_size_out"], len(context_out))
    return TestRun(
        retval=attr["retval"],
        data=bytes(data_out[: min(attr["data_size_out"], len(data_out))]),
        context=bytes(context_out[:context_size]),
        duration_ns=attr["duration"],
    )
