"""BTF in the kernel: its own, its modules', and what programs and maps were loaded with.

A BTF object is named by its id, "vmlinux", the name of a module, or a file (raw BTF, an ELF file, compressed or not).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.cli.verbs import run_verb, verbs_of

if TYPE_CHECKING:
    import argparse

SELECTOR = "ID|NAME|FILE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = verbs_of(parser)
    add("list", "a line for each BTF object", "aiobpf.cli.btf_verbs:list_btf")
    show = add("show", "how many types of each kind it has, and who uses it", "aiobpf.cli.btf_verbs:show")
    show.add_argument("btf", metavar=SELECTOR)
    dump = add("dump", "its types in C, as a header that compiles", "aiobpf.cli.btf_verbs:dump")
    dump.add_argument("btf", metavar=SELECTOR)
    dump.add_argument("type", nargs="*", metavar="TYPE", help='these only, by name ("task_struct", "struct sk_buff")')


def run(options: argparse.Namespace) -> int:
    return run_verb(options)
