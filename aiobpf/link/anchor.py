"""Where in a chain of programs a new one goes: tcx (6.6), netkit (6.7), cgroups (6.17)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from aiobpf.link.link import Link

if TYPE_CHECKING:
    from aiobpf.kernel import FdLike
    from aiobpf.runtime.program import Program

_BEFORE, _AFTER, _ID, _LINK = 1 << 3, 1 << 4, 1 << 5, 1 << 13  # BPF_F_* of include/uapi/linux/bpf.h


@frozen
class Position:
    """An anchor as the kernel takes it: flags, and the descriptor or id that they speak of."""

    flags: int
    relative: FdLike


@frozen
class First:
    """Before all others."""

    def position(self) -> Position:
        return Position(_BEFORE, 0)


@frozen
class Last:
    """After all others, which is where a program goes without an anchor."""

    def position(self) -> Position:
        return Position(_AFTER, 0)


@frozen
class Before:
    """Before *other*, a `Link` or a program (or its id) in the same chain; or before the link of the id *link_id*."""

    other: Link | Program | int | None = None
    link_id: int | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check_one(self.other, self.link_id)

    def position(self) -> Position:
        return _beside(_BEFORE, self.other, self.link_id)


@frozen
class After:
    """After *other*, a `Link` or a program (or its id) in the same chain; or after the link of the id *link_id*."""

    other: Link | Program | int | None = None
    link_id: int | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check_one(self.other, self.link_id)

    def position(self) -> Position:
        return _beside(_AFTER, self.other, self.link_id)


@frozen
class Replace:
    """In the place of *other*, a program without a link; only for programs attached without one themselves.

    The program of a link is exchanged by `Link.update`.
    """

    other: Program


Anchor: TypeAlias = First | Last | Before | After | Replace


def _check_one(other: object, link_id: int | None) -> None:
    if (other is None) == (link_id is None):
        raise ValueError("an anchor is beside a link, a program, its id, or link_id=: one of these")


def _beside(side: int, other: Link | Program | int | None, link_id: int | None) -> Position:
    if link_id is not None:
        return Position(side | _LINK | _ID, link_id)
    if isinstance(other, Link):
        return Position(side | _LINK, other)
    if isinstance(other, int):
        return Position(side | _ID, other)
    assert other is not None
    return Position(side, other)
