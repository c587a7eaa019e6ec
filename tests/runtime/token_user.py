"""What an unprivileged user namespace may do with a BPF token: run by test_token.py as root, tells it as JSON.

The child makes a user namespace and opens a bpffs of its own; only the parent may say what that delegates (6.9).
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

import aiobpf
from aiobpf.errors import BpfError
from aiobpf.kernel import create_token, find_token, token_info
from aiobpf.runtime import LoadOptions, Map, Program

if TYPE_CHECKING:
    from aiobpf.kernel.fd import OwnedFd

OBJECTS = Path(__file__).parent.parent / "objects"
CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 429, 430, 431, 432  # the same on every machine
MOVE_MOUNT_F_EMPTY_PATH, AT_FDCWD, MS_REC, MS_PRIVATE = 4, -100, 0x4000, 0x4_0000
SET_STRING, CMD_CREATE = 1, 6

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def receive(channel: socket.socket) -> int:
    _, fds, _, _ = socket.recv_fds(channel, 1, 1)
    return fds[0]


async def use(token: OwnedFd, mount: int, place: str) -> dict[str, object]:
    told: dict[str, object] = {}
    spec = aiobpf.read_spec(OBJECTS / "globals.bpf.o")
    map_spec = aiobpf.MapSpec(name="m", type=aiobpf.MapType.HASH, key_size=4, value_size=4, max_entries=2)
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
    async with Map.create(map_spec, token=token) as made:
        made[1] = 7
        told["map"] = int.from_bytes(made[1], sys.byteorder)
    try:
        told["allowed"] = aiobpf.MapType.ARENA in token_info(token).map_types
    except BpfError:  # before 6.17
        told["allowed"] = True
    told["found before"] = find_token() is not None
    # Mounted somewhere, it is found there, and may be named.
    checked(libc.syscall(MOVE_MOUNT, mount, b"", AT_FDCWD, place.encode(), MOVE_MOUNT_F_EMPTY_PATH))
    async with aiobpf.load(spec, programs=["count"]) as coll:
        await coll.programs["count"].run(bytes(64))
        told["found"] = coll.variables["zero"].value
    async with Program.load(spec.programs["count"]) as program:
        told["found program"] = (await program.run(bytes(64))).retval
    async with Map.create(map_spec) as made:
        made[1] = 8
        told["found map"] = int.from_bytes(made[1], sys.byteorder)
    async with Map.create(map_spec, token=place) as made:
        made[1] = 9
        told["named"] = int.from_bytes(made[1], sys.byteorder)
    for what, source in (("none", None), ("no bpffs", "/"), ("nowhere", "/nowhere")):
        try:
            await Map.create(map_spec, token=source)
        except OSError as error:
            told[what] = str(error)
    answer = await aiobpf.features.probe(aiobpf.MapType.LRU_HASH, token=token)
    told["probe"] = type(answer).__name__
    told["probe without"] = type(await aiobpf.features.probe(aiobpf.MapType.LRU_HASH)).__name__
    return told


def child(channel: socket.socket) -> None:
    checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    channel.send(b"?")
    channel.recv(1)
    filesystem = checked(libc.syscall(FSOPEN, b"bpf", 0))
    socket.send_fds(channel, [b"f"], [filesystem])
    mount = receive(channel)
    root = os.open(".", os.O_DIRECTORY, dir_fd=mount)
    with tempfile.TemporaryDirectory() as place, create_token(root) as token:
        checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
        try:
            print(json.dumps(anyio.run(use, token, mount, place)), flush=True)
        finally:
            libc.umount2(place.encode(), 2)


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
