"""Commands that have verbs: ``aiobpf map get ...``; each verb is a coroutine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def verbs_of(parser: argparse.ArgumentParser) -> Callable[..., argparse.ArgumentParser]:
    """``add = verbs_of(parser)``, then ``add("get", "what it does", "aiobpf.cli.map_verbs:get")`` for each."""
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=type(parser))

    def add(name: str, summary: str, function: str) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = verbs.add_parser(name, help=summary, description=summary)
        sub.add_argument("--json", action="store_true", help="as JSON")
        sub.set_defaults(verb=function)
        return sub

    return add


def run_verb(options: argparse.Namespace) -> int:
    """Import what the verb is made of, and run it; a group of errors that is one error comes out as that."""
    from importlib import import_module

    import anyio

    from aiobpf.cli.commands import OK

    module, name = options.verb.split(":")
    verb = getattr(import_module(module), name)
    status = anyio.run(verb, options)
    return OK if status is None else int(status)
