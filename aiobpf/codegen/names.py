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


def class_name(name: str, taken: Collection[str], default: str = "Anonymous") -> str:
    """*name* as a class is called, "exec_event" as "ExecEvent", and different from those *taken*."""
    parts = re.findall(r"[0-9A-Za-z]+", name)
    words = "".join(part[0].upper() + part[1:] for part in parts) or default
    return unique(f"T{words}" if words[0].isdigit() else words, taken)


def attribute_names(names: Iterable[str], taken: Collection[str]) -> list[str]:
    """A Python attribute for each of *names*, all different and none of those *taken*.

    They are those of `aiobpf.btf.codec` where that is possible in the source of a class: not with two underscores in
    front, which Python mangles.
    """
    found: list[str] = []
    plain = list(python_names(names))
    seen = {*plain, *taken}
    for name in plain:
        better = f"_{name.lstrip('_') or 'unnamed'}" if name.startswith("__") else name
        if better == name and name not in taken:
            found.append(name)
            continue
        found.append(unique(f"{better}_" if better in taken else better, seen))
        seen.add(found[-1])
    return found


def unique(name: str, taken: Collection[str]) -> str:
    found, number = name, 2
    while found in taken or iskeyword(found):
        found, number = f"{name}_{number}", number + 1
    return found


def shown(name: str) -> str:
    """*name* as it may stand in a comment or docstring: letters, digits and what file names are made of."""
    return re.sub(r"[^0-9A-Za-z_. -]", "_", name) or "_"


def text(value: str) -> str:
    """*value* as a string literal, all of it in ASCII."""
    literal = ascii(value)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in literal else literal
