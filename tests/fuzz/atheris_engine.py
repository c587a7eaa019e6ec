"""Fuzzing by coverage, with atheris (libFuzzer for Python): one target a process, since libFuzzer ends its own.

``python -m tests.fuzz.atheris_engine TARGET CORPUS FINDINGS [libFuzzer options]``
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fuzz.findings import Findings
from tests.fuzz.limits import SECONDS, TooSlowError, limited_memory, limited_time

if TYPE_CHECKING:
    from tests.fuzz.target import Target

atheris: Any = importlib.import_module("atheris")  # by name: checkers of types need not have it
_PACKAGES = ("asm", "btf", "elf", "spec", "linker", "compatibility", "verifier")
"""Those that import lazily; of others, targets name what they use."""
SLOWER = 4
"""Counting every branch, and comparing what is compared, makes Python 4 to 10 times as slow (measured). What takes that
long is tried again without; so this may err on one side only."""


def instrument() -> dict[str, Target]:
    """The targets, with all that they may import, so that none of it is imported later and not counted."""
    with atheris.instrument_imports(include=["aiobpf"]):
        for package in _PACKAGES:
            module = importlib.import_module(f"aiobpf.{package}")
            for each in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
                importlib.import_module(each.name)
        targets: dict[str, Target] = importlib.import_module("tests.fuzz.table").TARGETS
    return targets


def main() -> None:
    name, corpus, folder, *options = sys.argv[1:]
    target = instrument()[name]
    findings = Findings(Path(folder), target)

    def try_one(data: bytes) -> None:
        try:
            with limited_memory(), limited_time(SECONDS * SLOWER):
                target(data)
        except (Exception, TooSlowError) as error:
            findings.add(data, error)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.25:  # libFuzzer's own changes: it knows what was compared with what
            return bytes(atheris.Mutate(data, max_size))
        return target.mutate(data, chance)[:max_size]

    atheris.Setup([sys.argv[0], corpus, *options], try_one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
