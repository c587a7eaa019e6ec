"""How the harness and a side talk: a command a line (case TAB key=value TAB ...), an answer a line (a JSON object).

The first line of a side says what it is. An answer has ``ns`` and ``cpu_ns`` of what was timed, ``count`` and ``sum``;
or ``error``; or ``unsupported``.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Mapping


@final
class Arguments:
    """The arguments of one command."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def text(self, key: str, default: str | None = None) -> str:
        return self._values[key] if default is None else self._values.get(key, default)

    def number(self, key: str) -> int:
        return int(self._values[key])


def encode(case: str, arguments: dict[str, object]) -> str:
    """A command, with the end of its line."""
    return "\t".join([case, *(f"{key}={value}" for key, value in arguments.items())]) + "\n"


def decode(line: str) -> tuple[str, Arguments]:
    """The case and arguments of a command."""
    case, *words = line.rstrip("\n").split("\t")
    return case, Arguments(dict(word.split("=", 1) for word in words))


def say(answer: Mapping[str, object]) -> None:
    """Print an answer at once."""
    sys.stdout.write(json.dumps(dict(answer)) + "\n")
    sys.stdout.flush()
