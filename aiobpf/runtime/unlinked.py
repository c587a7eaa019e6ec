"""Programs of an object that was not linked with the ones that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm import SYMBOL
from aiobpf.errors import UnresolvedSymbolError
from aiobpf.runtime.map_key import MAP
from aiobpf.spec import EXTERN, ExternKind

if TYPE_CHECKING:
    from aiobpf.spec import ProgramSpec

_LINK = "join its object with the one that has it (aiobpf.link_objects)"


def require_linked(spec: ProgramSpec) -> None:
    """UnresolvedSymbolError for what another object should have brought.

    A function that was put into the program by hand and a map that was put on the instruction or into the collection do
    as well.
    """
    instructions = spec.instructions
    own: set[str] | None = None
    for index, extern in instructions.with_key(EXTERN):
        if extern.kind.is_of_kernel:
            continue
        if extern.kind is ExternKind.FUNCTION:
            own = own if own is not None else {name for _, name in instructions.with_key(SYMBOL)}
            if extern.name in own:
                continue
            way_out = f"{_LINK}, or append its instructions"
        else:
            if instructions.get_metadata(index, MAP) is not None or (
                extern.kind is ExternKind.MAP and extern.name in spec.maps
            ):
                continue
            way_out = _LINK
        raise UnresolvedSymbolError(
            f"program {spec.name!r} needs {extern.kind.value} {extern.name!r}, which its object only declares: "
            f"{way_out}",
            extern.name,
        )
