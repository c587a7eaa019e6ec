"""Making maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.kernel.capabilities import needed_for_map, privilege_error
from aiobpf.kernel.fd import FdLike, OwnedFd, number
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.syscall import checked, object_name, try_fd
from aiobpf.uapi import Command, MapFlags, MapType

if TYPE_CHECKING:
    from typing_extensions import Buffer

_CREATE = Layout(
    "map_type:I key_size:I value_size:I max_entries:I map_flags:I inner_map_fd:I numa_node:I map_name:16s map_ifindex:I"
    " btf_fd:I btf_key_type_id:I btf_value_type_id:I btf_vmlinux_value_type_id:I map_extra:Q value_type_btf_obj_fd:i"
    " map_token_fd:i excl_prog_hash:P excl_prog_hash_size:I"
)
_FREEZE = Layout("map_fd:I")


def create_map(
    type: int,  # noqa: A002 the field's own word
    key_size: int,
    value_size: int,
    max_entries: int,
    *,
    name: str = "",
    flags: int = 0,
    btf: FdLike | None = None,
    key_type_id: int = 0,
    value_type_id: int = 0,
    inner: FdLike | None = None,
    map_extra: int = 0,
    numa_node: int | None = None,
    ifindex: int = 0,
    kernel_value_type_id: int = 0,
    value_type_btf: FdLike | None = None,
    token: FdLike | None = None,
    exclusive_program_hash: Buffer | None = None,
    subject: str = "",
) -> OwnedFd:
    """BPF_MAP_CREATE (bpf(2)). Sizes in bytes; *max_entries* is bytes for a ring buffer.

    *btf* with *key_type_id* and *value_type_id* describes the elements; *inner* is the template of a map-in-map;
    *kernel_value_type_id* in vmlinux, or in the module whose BTF object is *value_type_btf*, is for struct_ops.
    *numa_node*, *token* (6.9) and *value_type_btf* (6.9) set the flag that says they are there.

    KernelError: EINVAL (a combination that the type does not take, or a type that this kernel does not know), E2BIG (a
    field that this kernel does not know, or too large), ENOMEM, MissingPrivilegeError with the capability.
    """
    what = subject or (f"map {name!r}" if name else f"map of type {_type_name(type)}")
    if numa_node is not None:
        flags |= MapFlags.NUMA_NODE
    if token is not None:
        flags |= MapFlags.TOKEN_FD
    if value_type_btf is not None:
        flags |= MapFlags.VTYPE_BTF_OBJ_FD
    attr = _CREATE.make(
        map_type=type,
        key_size=key_size,
        value_size=value_size,
        max_entries=max_entries,
        map_flags=flags,
        inner_map_fd=0 if inner is None else number(inner),
        numa_node=numa_node or 0,
        map_name=object_name(name),
        map_ifindex=ifindex,
        btf_fd=0 if btf is None else number(btf),
        btf_key_type_id=key_type_id,
        btf_value_type_id=value_type_id,
        btf_vmlinux_value_type_id=kernel_value_type_id,
        map_extra=map_extra,
        value_type_btf_obj_fd=0 if value_type_btf is None else number(value_type_btf),
        map_token_fd=0 if token is None else number(token),
        excl_prog_hash=exclusive_program_hash,
        excl_prog_hash_size=0 if exclusive_program_hash is None else memoryview(exclusive_program_hash).nbytes,
    )
    owner = OwnedFd(what=what)
    error = try_fd(Command.MAP_CREATE, attr, owner)
    if error:
        raise privilege_error(error, "BPF_MAP_CREATE", what, needed_for_map(type), locks_memory=True)
    return owner


def freeze_map(map: FdLike, *, subject: str = "map") -> None:  # noqa: A002 the field's own word
    """No more writes from user space, for good (BPF_MAP_FREEZE, 5.2). EBUSY while it is mapped writable."""
    checked(Command.MAP_FREEZE, _FREEZE.make(map_fd=number(map)), subject)


def _type_name(map_type: int) -> str:
    try:
        return MapType(map_type).name
    except ValueError:
        return str(map_type)
