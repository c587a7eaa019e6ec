"""The BTF objects that the kernel holds: its own, its modules', and those that programs and maps were loaded with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.btf import Btf
from aiobpf.kernel.btf import shared_btf_cache
from aiobpf.kernel.ids import ObjectKind, all_ids, btf_by_id
from aiobpf.kernel.info import btf_info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.kernel.btf import KernelBtfCache
    from aiobpf.kernel.fd import FdLike
    from aiobpf.kernel.info import BtfInfo


def btf_objects() -> Iterator[BtfInfo]:
    """What the kernel says of each BTF object, by rising id; they come and go meanwhile.

    KernelError EPERM without CAP_SYS_ADMIN.
    """
    for number in all_ids(ObjectKind.BTF):
        try:
            fd = btf_by_id(number)
        except FileNotFoundError:  # gone since
            continue
        with fd:
            info = btf_info(fd)
        yield info


def read_btf(id: int, *, btf_cache: KernelBtfCache | None = None) -> Btf:  # noqa: A002 the field's own word
    """The types of the BTF object of that id; a module's add to those of vmlinux, which come from the cache.

    NoSuchObjectError (ENOENT) where there is none, MissingPrivilegeError without CAP_SYS_ADMIN.
    """
    with btf_by_id(id) as fd:
        return read_btf_object(fd, btf_cache=btf_cache)


def read_btf_object(fd: FdLike, *, btf_cache: KernelBtfCache | None = None) -> Btf:
    """`read_btf` of an object that is open already."""
    info = btf_info(fd)
    if info.is_kernel:
        vmlinux = (btf_cache or shared_btf_cache()).vmlinux()
        if info.name == "vmlinux":
            return vmlinux
        return Btf.from_bytes(btf_info(fd, data=True).data, base=vmlinux)
    return Btf.from_bytes(btf_info(fd, data=True).data)
