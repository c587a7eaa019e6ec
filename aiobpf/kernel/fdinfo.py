"""What /proc/self/fdinfo tells of a descriptor, beside BPF_OBJ_GET_INFO_BY_FD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.kernel.fd import number

if TYPE_CHECKING:
    from aiobpf.kernel.fd import FdLike


def fd_info(fd: FdLike) -> dict[str, str]:
    """The lines "name: value" of the descriptor's fdinfo file; OSError where /proc is not mounted."""
    with open(f"/proc/self/fdinfo/{number(fd)}", encoding="ascii", errors="replace") as lines:
        pairs = (line.partition(":") for line in lines)
        return {name.strip(): value.strip() for name, _, value in pairs}


def locked_memory(fd: FdLike) -> int | None:
    """The bytes of kernel memory that a map or program takes ("memlock"); None where the kernel does not say.

    Rounded up to pages for a program. From 6.4 on, a map's is estimated anew at each reading.
    """
    try:
        return int(fd_info(fd)["memlock"])
    except (KeyError, ValueError, OSError):
        return None
