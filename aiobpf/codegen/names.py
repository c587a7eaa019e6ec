"""Python names for what an object names: any text may be a name in BTF, and what is written here is run as code."""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import TYPE_CHECKING

from aiobpf.btf.codec_shape import python_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

WORDS = frozenset({"aiobpf", "bool", "bytes", "dataclasses", "enum", "float", "int", "list", "str", "typing"})
"""What annotations are made of: inside a class, a field of such a name would be meant instead."""
MODULE_NAMES = WORDS | {
    *("False", "None", "True"),
    *("Bindings", "LoadArguments", "Opening", "Path", "Source", "UnionValue", "open_bindings", "base64"),
}


def class_name(name: str, taken: Collection[str], numbers: dict[str, int] | None = None) -> str:
    """*name* as a class is called, "exec_event" as "ExecEvent", and different from those *taken*."""
    parts = re.findall(r"[0-9A-Za-z]+", name)
    words = "".join(part[0].upper() + part[1:] for part in parts) or "Anonymous"
    return _unique(f"T{words}" if words[0].isdigit() else words, (taken,), {} if numbers is None else numbers)


def attribute_names(names: Iterable[str], *taken: Collection[str]) -> list[str]:
    """A Python attribute for each of *names*, all different and none of those *taken*.

    They are those of `aiobpf.btf.codec` where that is possible in the source of a class: not with two underscores in
    front, which Python mangles.
    """
    found: list[str] = []
    plain = list(python_names(names))
    seen = set(plain)
    numbers: dict[str, int] = {}
    for name in plain:
        better = f"_{name.lstrip('_') or 'unnamed'}" if name.startswith("__") else name
        is_taken = any(better in each for each in taken)
        if better == name and not is_taken:
            found.append(name)
            continue
        found.append(_unique(f"{better}_" if is_taken else better, (seen, *taken), numbers))
        seen.add(found[-1])
    return found


def _unique(name: str, taken: tuple[Collection[str], ...], numbers: dict[str, int]) -> str:
    """*name*, or with the first number behind it that makes it another than those *taken*.

    *numbers* remembers how far that was: of thousands of structs without a name each would try all before it.
    """
    found, number = name, numbers.get(name, 2)
    while iskeyword(found) or any(found in each for each in taken):
        found, number = f"{name}_{number}", number + 1
    numbers[name] = number
    return found


def shown(name: str) -> str:
    """*name* as it may stand in a comment or docstring: letters, digits and what file names are made of."""
    return re.sub(r"[^0-9A-Za-z_. -]", "_", name) or "_"


def text(value: str) -> str:
    """*value* as a string literal, all of it in ASCII."""
    literal = ascii(value)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in literal else literal
