"""tcx: programs at the entry and exit of the stack as links, in an order of their own (6.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from aiobpf.errors import SpecError
from aiobpf.link.chain import attach_in_chain, attach_type_of, check_anchor
from aiobpf.link.direction import Direction
from aiobpf.link.interface import make_link_in_namespace, netns_name
from aiobpf.uapi import AttachType

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.kernel import FdLike
    from aiobpf.kernel.netns import NetNamespace
    from aiobpf.link.anchor import Anchor
    from aiobpf.link.attachment import Attachment
    from aiobpf.link.link import Link
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_ATTACH_TYPES = {Direction.INGRESS: AttachType.TCX_INGRESS, Direction.EGRESS: AttachType.TCX_EGRESS}


def _direction(value: Direction | str | None) -> Direction | None:
    return None if value is None else Direction(value)


@frozen
class Tcx:
    """A classifier on *interface* (name or index), among others. Sections ``tcx/ingress``, ``tcx/egress``.

    *direction* is "ingress" or "egress"; None takes it from the program's section. The programs of a chain run in
    order until one returns another verdict than TCX_NEXT (-1), and before the filters of clsact. *anchor* is where this
    one goes: `First`, `Last` (also None), `Before`, `After`; *expected_revision* (of `query`) refuses a chain that has
    changed meanwhile (ESTALE).

    With ``link=False`` there is no bpf link: the program outlives this process unless the Link is closed, and
    ``anchor=Replace(program)`` takes the place of another such.
    """

    interface: str | int
    direction: Direction | None = field(default=None, converter=_direction)
    anchor: Anchor | None = field(default=None, kw_only=True)
    expected_revision: int = field(default=0, kw_only=True)
    link: bool = field(default=True, kw_only=True)
    netns: str | FdLike | None = field(default=None, kw_only=True, converter=netns_name)

    def __attrs_post_init__(self) -> None:
        check_anchor(self.anchor, self.link)

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which interface

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENODEV with the interfaces that there are, ESTALE, EEXIST), SpecError, NotSupportedError
        before 6.6."""
        chosen = None if self.direction is None else _ATTACH_TYPES[self.direction]
        attach_type = attach_type_of(program, chosen, _ATTACH_TYPES.values())
        if attach_type is None:
            raise SpecError(
                f"program {program.name!r} does not say which direction it is for: Tcx({self.interface!r}, "
                "'ingress'), for instance"
            )
        return await make_link_in_namespace(
            self, self.netns, program, lambda program, namespace: self._attach(program, namespace, attach_type)
        )

    def _attach(self, program: Program, namespace: NetNamespace, attach_type: AttachType) -> Attachment:
        return attach_in_chain(
            program,
            namespace,
            self.interface,
            attach_type,
            anchor=self.anchor,
            expected_revision=self.expected_revision,
            has_link=self.link,
            since="6.6",
        )
