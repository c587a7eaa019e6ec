"""What an unprivileged user namespace may do with a BPF token: run by test_token.py as root, tells it as JSON.

The child makes a user namespace and opens a bpffs of its own; only the parent may say what that delegates (6.9).
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

import aiobpf
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import new_fd
from aiobpf.runtime import LoadOptions, Map, Program
from aiobpf.uapi import Command

if TYPE_CHECKING:
    from aiobpf.kernel.fd import OwnedFd

OBJECTS = Path(__file__).parent.parent / "objects"
CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432  # the same on every machine
SET_STRING, CMD_CREATE = 1, 6

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def receive(channel: socket.socket) -> int:
    _, fds, _, _ = socket.recv_fds(channel, 1, 1)
    return fds[0]


async def use(token: OwnedFd) -> dict[str, object]:
    told: dict[str, object] = {}
    spec = aiobpf.read_spec(OBJECTS / "globals.bpf.o")
    try:
        await aiobpf.Collection.load(spec)
    except PermissionError as error:
        told["without"] = str(error)
    number = token.fileno()
    async with aiobpf.load(spec, programs=["count"], token=number) as coll:
        await coll.programs["count"].run(bytes(64))
        told["collection"] = coll.variables["zero"].value
    async with Program.load(spec.programs["count"], LoadOptions(token=number)) as program:
        told["program"] = (await program.run(bytes(64))).retval
        told["name"] = (await program.info()).name
    map_spec = aiobpf.MapSpec(name="m", type=aiobpf.MapType.HASH, key_size=4, value_size=4, max_entries=2)
    async with Map.create(map_spec, token=number) as made:
        made[1] = 7
        told["map"] = int.from_bytes(made[1], sys.byteorder)
    return told


def child(channel: socket.socket) -> None:
    checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    channel.send(b"?")
    channel.recv(1)
    filesystem = checked(libc.syscall(FSOPEN, b"bpf", 0))
    socket.send_fds(channel, [b"f"], [filesystem])
    root = os.open(".", os.O_DIRECTORY, dir_fd=receive(channel))
    with new_fd(Command.TOKEN_CREATE, Layout("flags:I bpffs_fd:I").make(bpffs_fd=root), "token") as token:
        print(json.dumps(anyio.run(use, token)), flush=True)


def parent(channel: socket.socket, pid: int) -> None:
    channel.recv(1)
    Path(f"/proc/{pid}/setgroups").write_text("deny")
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text("0 0 1")
    channel.send(b"!")
    filesystem = receive(channel)
    for what in (b"delegate_cmds", b"delegate_maps", b"delegate_progs", b"delegate_attachs"):
        checked(libc.syscall(FSCONFIG, filesystem, SET_STRING, what, b"any", 0))
    checked(libc.syscall(FSCONFIG, filesystem, CMD_CREATE, None, None, 0))
    socket.send_fds(channel, [b"m"], [checked(libc.syscall(FSMOUNT, filesystem, 0, 0))])


def main() -> int:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            child(theirs)
        except BaseException as error:  # a forked child ends here, whatever happens
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    theirs.close()
    try:
        parent(ours, pid)
    finally:
        ours.close()
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
