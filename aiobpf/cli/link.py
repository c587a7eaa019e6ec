"""The kernel's links: what hangs where.

A link is named by its id, or by the path of a pin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.cli.verbs import run_verb, verbs_of

if TYPE_CHECKING:
    import argparse

SELECTOR = "ID|PIN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = verbs_of(parser)
    add("list", "a line for each link", "aiobpf.cli.link_verbs:list_links")
    show = add("show", "everything that the kernel says of a link", "aiobpf.cli.link_verbs:show")
    show.add_argument("link", metavar=SELECTOR)
    detach = add("detach", "take the program off the hook, whoever holds the link", "aiobpf.cli.link_verbs:detach")
    detach.add_argument("link", metavar=SELECTOR)


def run(options: argparse.Namespace) -> int:
    return run_verb(options)
