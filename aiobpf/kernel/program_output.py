"""What a program prints to its own streams, and what the kernel prints there of it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aiobpf.errors import NotSupportedError, kernel_error
from aiobpf.kernel.fd import number
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import bpf
from aiobpf.uapi import Command

if TYPE_CHECKING:
    from aiobpf.kernel.fd import FdLike

STDOUT, STDERR = 1, 2
"""BPF_STDOUT: what bpf_stream_printk gave; BPF_STDERR: that, and the kernel's own words on faults and timeouts."""

_READ = Layout("stream_buf:P stream_buf_len:I stream_id:I prog_fd:I")


def read_program_output(program: FdLike, stream: int, size: int = 1 << 16, *, subject: str = "program") -> bytes:
    """Take at most *size* bytes of what is there, b"" where nothing is (BPF_PROG_STREAM_READ_BY_FD, 6.17).

    At most 100,000 bytes wait; what a program prints beyond that is dropped, and it is told (-ENOSPC). Nothing
    announces that there is more. NotSupportedError before 6.17.
    """
    room = bytearray(size)
    attr = _READ.make(stream_buf=room, stream_buf_len=size, stream_id=stream, prog_fd=number(program))
    result = bpf(Command.PROG_STREAM_READ_BY_FD, attr)
    if result < 0:
        if -result == errno.EINVAL:
            raise NotSupportedError(f"the output of a program ({subject})", "6.17")
        raise kernel_error(-result, "BPF_PROG_STREAM_READ_BY_FD", subject)
    return bytes(room[:result])
