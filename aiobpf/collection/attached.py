"""The links of several programs and struct_ops maps as one resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import anyio

from aiobpf.collection.names import Names
from aiobpf.collection.pinning import pin_each, unpin_each
from aiobpf.errors import SpecError
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike
    from types import TracebackType

    from aiobpf.link import Link
    from aiobpf.runtime import Map, Program


@final
class Attached:
    """Links by the names of their programs or maps; closing it detaches them all, the last first."""

    __slots__ = ("_links", "links", "skipped")

    def __init__(self, links: dict[str, Link], skipped: tuple[str, ...]) -> None:
        self._links = links
        self.links: Names[Link] = Names("link", links)
        self.skipped = skipped
        """Programs that have no place of their own to attach to."""

    async def aclose(self) -> None:
        """Detach all; returns when the kernel has let go of each. Idempotent; several failures come as a group.

        The links close at the same time: most of a detach is waiting for RCU, and that wait can be shared.
        """
        errors: list[Exception] = []

        async def close(link: Link) -> None:
            try:
                await link.aclose()
            except Exception as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            # Links shield their own close, so a cancelled scope around this still detaches everything.
            for link in reversed(self._links.values()):
                tasks.start_soon(close, link)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("several links could not be closed", errors)

    def pin(self, directory: str | PathLike[str]) -> tuple[str, ...]:
        """Give every link the name of its program in *directory* of a bpffs, which is made if need be; the paths.

        Programs stay attached as long as their links have names (`Link.from_pin`), whatever becomes of this process.
        All or nothing: NotSupportedError where one has no bpf link to pin, KernelError where a name is taken.
        """
        return pin_each(directory, self._links.items())

    def unpin(self) -> None:
        """Take the names of all links away again."""
        unpin_each(self._links.values())

    async def __aenter__(self) -> Attached:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Attached {', '.join(self._links) or 'nothing'}>"


def attach_by_themselves(programs: Iterable[Program], maps: Iterable[Map]) -> list[Program | Map]:
    """What a collection attaches when nothing is named: its programs, but for those that struct_ops maps call, and its
    struct_ops maps."""
    attaching = [map_ for map_ in maps if map_.default_kind is not None]
    return [*(program for program in programs if program.type != ProgramType.STRUCT_OPS), *attaching]


async def attach_each(programs: Sequence[Program | Map], *, required: bool) -> Attached:
    """Attach *programs*, and maps, one after the other where their sections say; all or nothing."""
    links: dict[str, Link] = {}
    skipped: list[str] = []
    try:
        for program in programs:
            if program.default_kind is None and not required:
                skipped.append(program.name)
                continue
            links[program.name] = await _attach(program)
        if not links:
            raise SpecError(
                "no program says where it attaches: "
                + (", ".join(f"{p.name!r} ({p.type.name})" for p in programs) or "there is none")
                + "; attach each with program.attach(kind)"
            )
    except BaseException as error:
        try:
            await Attached(links, ()).aclose()
        except Exception as failure:  # the first error is the one to tell
            error.add_note(f"What was attached already could not be detached: {failure}")
        raise
    return Attached(links, tuple(skipped))


async def _attach(program: Program | Map) -> Any:
    return await program.attach()
