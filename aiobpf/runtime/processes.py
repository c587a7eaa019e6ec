"""Which processes hold the kernel's programs, maps, links and BTF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.kernel.worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.kernel import Holder, ObjectKind


async def holders() -> Mapping[tuple[ObjectKind, int], Sequence[Holder]]:
    """The processes that hold each object by a descriptor: ``(await aiobpf.holders())[ObjectKind.MAP, 7]``.

    One look at /proc, in a worker thread, at every process that the caller may look into (of other users: with
    CAP_SYS_PTRACE). An object without a holder lives by a pin, a link, or what it is attached to.
    """
    from aiobpf.kernel.holders import object_holders

    return await in_worker(object_holders)
