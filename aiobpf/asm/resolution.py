"""From names to distances: what encoding does with references to functions and labels."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from aiobpf.asm.displacement import pointer_at, set_target
from aiobpf.errors import AsmError

if TYPE_CHECKING:
    from aiobpf.asm.columns import Column
    from aiobpf.asm.references import Reference


class Names:
    """The functions and labels of one program, by name."""

    def __init__(self, symbols: Column[str] | None, labels: Column[str] | None) -> None:
        self._functions: dict[str, list[int]] = {}
        self._starts: list[int] = []
        for slot, name in symbols.items() if symbols is not None else ():
            self._functions.setdefault(name, []).append(slot)
            self._starts.append(slot)
        self._labels: dict[tuple[int, str], list[int]] = {}
        for slot, name in labels.items() if labels is not None else ():
            self._labels.setdefault((self._function_at(slot), name), []).append(slot)

    def _function_at(self, slot: int) -> int:
        return bisect_right(self._starts, slot)

    def function(self, name: str, slot: int) -> int:
        """The slot where function *name* begins, for the instruction at *slot*."""
        return _only(self._functions.get(name), "function", name, slot)

    def label(self, name: str, slot: int) -> int:
        """The slot of label *name* in the function around *slot*, or else of the function of that name."""
        found = self._labels.get((self._function_at(slot), name)) or self._functions.get(name)
        return _only(found, "label", name, slot)


def _only(found: list[int] | None, what: str, name: str, slot: int) -> int:
    if not found:
        raise AsmError(f"slot {slot} refers to {what} {name!r}, which the program does not have")
    if len(found) > 1:
        places = ", ".join(map(str, found[:4]))
        raise AsmError(f"slot {slot} refers to {what} {name!r}, which the program has more than once (slots {places})")
    return found[0]


def resolve(
    code: bytearray, references: Column[Reference], symbols: Column[str] | None, labels: Column[str] | None
) -> None:
    """Write into *code* the distance of every function and label that an instruction refers to by name.

    References of other instructions (maps, kfuncs, externs) are what the kernel floor resolves; they are not looked at.
    """
    names: Names | None = None
    for slot, reference in references.items():
        pointer = pointer_at(code, slot)
        if pointer is None:
            continue
        if names is None:
            names = Names(symbols, labels)
        is_jump = code[slot * 8] & 0x07 != 0 and code[slot * 8] & 0xF0 != 0x80
        find = names.label if is_jump else names.function
        set_target(code, pointer, slot, find(reference.name, slot))
