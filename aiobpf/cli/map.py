"""The kernel's maps: list them, show and dump one, and its elements: get, set, delete, watch.

A map is named by its id, by the path of a pin, or by its name. Keys and values are typed by the map's BTF, and written
as for ``aiobpf run --set``: 42, 0x2a, 5ms, an enumerator, text for char[], hex for bytes, JSON for structs and arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.cli.verbs import run_verb, verbs_of

if TYPE_CHECKING:
    import argparse

SELECTOR = "ID|PIN|NAME"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = verbs_of(parser)
    add("list", "a line for each map", "aiobpf.cli.map_verbs:list_maps")
    show = add("show", "everything that the kernel says of a map", "aiobpf.cli.map_verbs:show")
    dump = add("dump", "all its elements", "aiobpf.cli.map_verbs:dump")
    get = add("get", "the value of a key; of a queue or stack, the next value", "aiobpf.cli.map_verbs:get")
    set_ = add("set", "give a key its value; a queue or stack, one more value", "aiobpf.cli.map_verbs:set_value")
    delete = add("delete", "remove keys; of a queue or stack, the next value", "aiobpf.cli.map_verbs:delete")
    watch = add(
        "watch", "show changes as they come: of elements, or the events of a buffer", "aiobpf.cli.map_watch:watch"
    )
    for verb in (show, dump, get, set_, delete, watch):
        verb.add_argument("map", metavar=SELECTOR)
    get.add_argument("key", nargs="?", metavar="KEY")
    set_.add_argument("element", nargs="+", metavar="[KEY] VALUE")
    only = set_.add_mutually_exclusive_group()
    only.add_argument("--new", action="store_true", help="only if the key is not there (BPF_NOEXIST)")
    only.add_argument("--existing", action="store_true", help="only if the key is there (BPF_EXIST)")
    delete.add_argument("key", nargs="*", metavar="KEY")
    watch.add_argument("key", nargs="*", metavar="KEY", help="these only")
    watch.add_argument("--type", metavar="TYPE",
        help="what an event is: a type of the programs that use the buffer, or a struct as C declares it")  # fmt: skip
    watch.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="look this often (1)")
    watch.add_argument("--duration", type=float, metavar="SECONDS", help="end after this long; else at ctrl-C")


def run(options: argparse.Namespace) -> int:
    return run_verb(options)
