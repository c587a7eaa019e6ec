"""Write a Python module of typed bindings for an object: a class of its maps, programs and variables, a class for each
struct, union and enum that they consist of, and a load() that gives the one filled with the others.

Works for any user. The same object gives the same module.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from aiobpf.cli.run import map_choice

    add = parser.add_argument
    add("object", metavar="OBJECT", help="a compiled object")
    add("-o", "--output", metavar="FILE", help="the module to write (default: stdout)")
    add("--embed", action="store_true",
        help="put the object into the module, which otherwise finds it from its own folder on")  # fmt: skip
    add("--name", help="what the class is called (default: as the object's file, my_monitor.bpf.o: MyMonitor)")
    add("--map", action="append", default=[], type=map_choice, metavar="NAME:TYPE",
        help="events of this ring buffer or perf array are of this type of the object; repeatable")  # fmt: skip
    add("--type", action="append", default=[], metavar="TYPE",
        help="a class for this type of the object too; repeatable")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from aiobpf.cli.choices import type_named
    from aiobpf.cli.commands import OK, UsageError
    from aiobpf.codegen import generate
    from aiobpf.codegen.names import MODULE_NAMES, class_name
    from aiobpf.elf import read_spec

    path = Path(options.object)
    for choice in options.map:
        if choice.type is None:
            raise UsageError(f"--map {choice.name}: say of which type its events are, --map {choice.name}:TYPE")
    spec = read_spec(path)
    output = None if options.output in {None, "-"} else Path(options.output)
    source = generate(
        spec,
        options.name or class_name(re.sub(r"(\.bpf)?\.o$", "", path.name), MODULE_NAMES),
        # From the module's folder on; what goes to stdout is to lie beside the object.
        object_file=path.name if output is None else Path(os.path.relpath(path, output.parent)).as_posix(),
        embed=path.read_bytes() if options.embed else None,
        events={choice.name: type_named(spec.types, choice.type) for choice in options.map},
        types=[type_named(spec.types, name) for name in options.type],
    )
    if output is None:
        sys.stdout.write(source)
    else:
        output.write_text(source, encoding="ascii")
    return OK
