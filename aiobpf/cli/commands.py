"""The commands by name, and what every one of them shares: the parser, the exit status, errors without a traceback.

A command is a module with ``add_arguments(parser)`` and ``run(options) -> int``. It imports the standard library at
most; what it needs beyond that it imports in ``run``, so that ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130
"""What a shell gives for a command that ctrl-C ended before it had begun."""


class CommandModule(Protocol):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int: ...


class Command(NamedTuple):
    name: str
    summary: str
    module: str


COMMANDS = (
    Command("run", "load programs, attach them and show their events", "aiobpf.cli.run"),
    Command("inspect", "show what is in an object file", "aiobpf.cli.inspect"),
    Command("check", "say whether an object would load on kernels that are not running", "aiobpf.cli.check"),
    Command("gen", "write a Python module of typed bindings for an object", "aiobpf.cli.gen"),
    Command("prog", "list, show, dump and measure the programs in the kernel", "aiobpf.cli.prog"),
    Command("map", "list and show the maps in the kernel; get, set, delete and watch their elements", "aiobpf.cli.map"),
    Command("link", "list and show what hangs where, and take it off", "aiobpf.cli.link"),
    Command("btf", "list, show and dump the types in the kernel", "aiobpf.cli.btf"),
    Command("features", "show what the running kernel can do", "aiobpf.cli.features"),
    Command("log", "show what programs print", "aiobpf.cli.log"),
    Command("explain", "say what a verifier's log means", "aiobpf.cli.explain"),
)


class UsageError(Exception):
    """The command line itself is wrong: exit status 2."""


class Parser(argparse.ArgumentParser):
    """One that says ``aiobpf:`` whichever command speaks."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"aiobpf: {message}\n")


class _Version(argparse.Action):
    """Looks the version up only when it is asked for (importlib.metadata costs 20 ms)."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"aiobpf {version('aiobpf')}")
        parser.exit()


def parser() -> Parser:
    top = Parser(prog="aiobpf", description="eBPF programs, loaded and shown live.")
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        module = cast("CommandModule", importlib.import_module(command.module))
        sub = commands.add_parser(command.name, help=command.summary, description=module.__doc__)
        sub.formatter_class = argparse.RawDescriptionHelpFormatter
        module.add_arguments(sub)
        sub.set_defaults(command=module)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status: 0, 1 for an error (one line on stderr), 2 for wrong usage."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as leave:  # --help, --version and usage errors: argparse has printed all there is
        return leave.code if isinstance(leave.code, int) else FAILED
    module = cast("CommandModule", options.command)
    try:
        return module.run(options)
    except UsageError as error:
        print(f"aiobpf: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        leave_stdout()
        return OK
    except Exception as error:
        from aiobpf.cli.report import report

        report(error, verbose=getattr(options, "verbose", False))
        return FAILED


def leave_stdout() -> None:
    """Write no more to a pipe without a reader: the interpreter flushes stdout as it ends, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
