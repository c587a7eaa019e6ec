"""Network interfaces as attach kinds name them: by name or index, here or in another network namespace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from aiobpf.kernel.netns import NetNamespace
from aiobpf.link.link import Link, make_link

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from aiobpf.kernel import FdLike
    from aiobpf.link.attachment import Attachment
    from aiobpf.runtime.program import Program


def netns_name(value: str | PathLike[str] | FdLike | None) -> str | FdLike | None:
    """A converter for `netns`: a path or name as text, a descriptor as it is."""
    if value == "":
        raise ValueError("netns is a path, a name or a descriptor, not an empty text")
    if value is None or isinstance(value, int | str) or hasattr(value, "fileno"):
        return cast("str | FdLike | None", value)
    assert isinstance(value, os.PathLike)
    return os.fspath(value)


def namespace_of(netns: str | FdLike | None) -> NetNamespace:
    """The namespace that *netns* names, or the calling thread's. Raises KernelError (ENOENT, EBADF)."""
    return NetNamespace.of_this_thread() if netns is None else NetNamespace.open(netns)


async def make_link_in_namespace(
    kind: object,
    netns: str | FdLike | None,
    program: Program,
    attach: Callable[[Program, NetNamespace], Attachment],
) -> Link:
    """`make_link` with a worker thread that is in the network namespace *netns*, or the calling thread's (None), while
    *attach* runs."""

    def run(program: Program) -> Attachment:
        with namespace.duplicate() as inside, inside.entered():
            return attach(program, inside)

    # A worker thread may live in another network namespace than the thread that asks.
    with namespace_of(netns) as namespace:
        return await make_link(kind, program, run)
