"""The smallest map that has each flag."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aiobpf.errors import KernelError
from aiobpf.kernel.attach_probes import knows_constant
from aiobpf.kernel.feature_probes import PROBES, make_map
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.maps import create_map
from aiobpf.kernel.syscall import checked
from aiobpf.uapi import Command, MapFlags, MapType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.kernel.fd import FdLike, OwnedFd

_F, _M = MapFlags, MapType
MAP_OF_FLAG: Mapping[MapFlags, MapType] = {
    _F.NO_PREALLOC: _M.HASH,
    _F.NO_COMMON_LRU: _M.LRU_HASH,
    _F.NUMA_NODE: _M.HASH,
    _F.RDONLY: _M.HASH,
    _F.WRONLY: _M.HASH,
    _F.STACK_BUILD_ID: _M.STACK_TRACE,
    _F.ZERO_SEED: _M.HASH,
    _F.RDONLY_PROG: _M.ARRAY,
    _F.WRONLY_PROG: _M.ARRAY,
    _F.CLONE: _M.SK_STORAGE,
    _F.MMAPABLE: _M.ARRAY,
    _F.PRESERVE_ELEMS: _M.PERF_EVENT_ARRAY,
    _F.INNER_MAP: _M.ARRAY,
    _F.SEGV_ON_FAULT: _M.ARENA,
    _F.NO_USER_CONV: _M.ARENA,
    _F.RB_OVERWRITE: _M.RINGBUF,
}
"""A type of map that takes the flag since there is the flag."""
_STACK_OF_BUILD_IDS = 32  # struct bpf_stack_build_id
_OPEN_PIN = Layout("pathname:P bpf_fd:I file_flags:I path_fd:i")


def probe_map_flag(flag: MapFlags, map_type: MapType | None = None, token: FdLike | None = None) -> OwnedFd | bool:
    """Whether maps of *map_type* take the flag (None: one that it was made for)."""
    if map_type is None and flag == _F.PATH_FD:
        return _opens_pins_in_a_directory()
    if map_type is None and flag == _F.TOKEN_FD:
        return PROBES["TOKEN"](token)
    if flag in {_F.LINK, _F.VTYPE_BTF_OBJ_FD} and map_type in {None, _M.STRUCT_OPS}:
        # They take a type of the kernel's that nobody else registered: what the kernel knows tells as much.
        came_with = ("bpf_struct_ops_state", "BPF_STRUCT_OPS_STATE_READY") if flag == _F.LINK else ("bpf_cmd", _TOKENS)
        return knows_constant(*came_with)
    kind = map_type or MAP_OF_FLAG[flag]
    if flag == _F.STACK_BUILD_ID and kind == _M.STACK_TRACE:
        return create_map(kind, 4, _STACK_OF_BUILD_IDS, 1, flags=flag, token=token)
    if flag == _F.NUMA_NODE:
        return make_map(kind, token, numa_node=0)
    return make_map(kind, token, flags=flag)


_TOKENS = "BPF_TOKEN_CREATE"  # of the same release


def _opens_pins_in_a_directory() -> bool:
    attr = _OPEN_PIN.make(pathname=b"x\0", file_flags=_F.PATH_FD, path_fd=-1)
    try:
        checked(Command.OBJ_GET, attr, "a pin below a directory")
    except KernelError as error:
        if error.errno == errno.EBADF:  # it looked for the directory
            return True
        raise
    return True
