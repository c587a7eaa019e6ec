"""``python -m benchmarks``: measure each part of the page, print it, write it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from attrs import evolve

from benchmarks.beside_peers import BESIDE_PEERS
from benchmarks.growth.part import GROWTH
from benchmarks.page import Options, data_of, folder_of, read_data, write_data, write_part
from benchmarks.sizes import FULL, QUICK

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
PARTS = {part.name: part for part in (BESIDE_PEERS, GROWTH)}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--json",
        type=Path,
        help="where all samples go, and what --render reads; by default beside the page, and where a run leaves the "
        "page alone benchmarks/results.json",
    )
    parser.add_argument("--page", type=Path, help="the document to write, whatever the run left out")
    parser.add_argument("--part", action="append", choices=sorted(PARTS), help="only this part of the page; repeatable")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the page anew from its JSON")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs; no document")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CASE", help="only cases that begin so; no document"
    )
    parser.add_argument("--rounds", type=int, help="samples of each side in each case")
    parser.add_argument("--no-peers", action="store_true", help="aiobpf alone; no document")
    return parser.parse_args(arguments)


def options_of(given: argparse.Namespace) -> Options:
    """What the command line asks to be measured."""
    sizes = QUICK if given.quick else FULL
    if given.rounds:
        sizes = evolve(sizes, rounds=given.rounds, loads=given.rounds, live_rounds=given.rounds)
    return Options(sizes, is_quick=given.quick, only=given.only, has_peers=not given.no_peers)


def main(arguments: list[str] | None = None) -> int:
    given = parse(sys.argv[1:] if arguments is None else arguments)
    options = options_of(given)
    is_whole = not (options.is_quick or options.only or not options.has_peers)
    page = given.page or (PAGE if is_whole else None)
    data = given.json or (data_of(page) if page else HERE / "results.json")
    found = read_data(data)
    for part in [PARTS[name] for name in given.part or PARTS]:
        if not given.render:
            began = time.monotonic()
            found[part.name] = part.measure(options)
            print(f"the {part.name} took {time.monotonic() - began:.0f} s", file=sys.stderr)
            write_data(data, found)
        elif part.name not in found:
            raise SystemExit(f"{data} has no {part.name}")
        text = part.render(found[part.name], folder_of(page or HERE / ".work" / PAGE.name))
        print(text)
        if page is not None:
            write_part(page, part.name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
