"""``python -m tests.endurance CHECK [options]``, as root (or ``nox -s endurance``); exit status 1 where it fails.

Each check is a module of this package: ``add_options(parser)`` declares its options, ``await check(options)`` gives the
lines of its report, or raises AssertionError.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from importlib import import_module
from pathlib import Path

NOT_CHECKS = {"__init__", "__main__", "memory"}
CHECKS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in NOT_CHECKS and not path.stem.startswith("test_")
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    commands = parser.add_subparsers(dest="check", required=True)
    for name in CHECKS:
        module = import_module(f"tests.endurance.{name}")
        module.add_options(commands.add_parser(name, help=str(module.__doc__).splitlines()[0]))
    options = parser.parse_args()
    module = import_module(f"tests.endurance.{options.check}")
    try:
        for line in asyncio.run(module.check(options)):
            print(line)
    except AssertionError as failure:
        print(f"{options.check}: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
