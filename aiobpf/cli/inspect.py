"""Show what is in an object file: programs, maps, variables, externs, types, and the disassembly with source lines.

Works for any user, on objects of either byte order. Nothing is loaded, and nothing asked of the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="OBJECT|SOURCE.c", help="what to show")
    add("-d", "--disassembly", action="store_true",
        help="show the instructions, with source lines and what CO-RE and externs put in")  # fmt: skip
    add("--program", action="append", default=[], metavar="NAME", help="show this program only, and its instructions")
    add("--types", action="store_true", help="show the types in C, instead of how many there are")
    add("--json", action="store_true", help="everything, as one JSON object")


def run(options: argparse.Namespace) -> int:
    from aiobpf.cli.choices import choose_programs
    from aiobpf.cli.commands import OK
    from aiobpf.cli.source import read_source

    spec = read_source(options.source)
    names = choose_programs(spec, options.program)
    if options.json:
        from aiobpf.cli.inspect_json import print_json

        print_json(options.source, spec, names)
    else:
        from aiobpf.cli.inspect_text import print_object

        print_object(
            options.source, spec, names, with_code=options.disassembly or bool(names), with_types=options.types
        )
    return OK
