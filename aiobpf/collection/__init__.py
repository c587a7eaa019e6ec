"""A whole object: loaded, attached, streamed under one owner.

Names are imported when first used: `aiobpf.load` imports what loads in a worker thread.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiobpf.collection.attached import Attached as Attached
    from aiobpf.collection.bindings import Bindings as Bindings
    from aiobpf.collection.bindings import LoadArguments as LoadArguments
    from aiobpf.collection.bindings import open_bindings as open_bindings
    from aiobpf.collection.collection import Collection as Collection
    from aiobpf.collection.collection import Source as Source
    from aiobpf.collection.map_migration import Migrated as Migrated
    from aiobpf.collection.names import Names as Names
    from aiobpf.collection.names import UnknownNameError as UnknownNameError
    from aiobpf.collection.replace import Replacement as Replacement

__all__ = ["Attached", "Bindings", "Collection", "LoadArguments", "Names", "UnknownNameError", "open_bindings"]

_HOMES = {
    "attached": "Attached",
    "bindings": "Bindings LoadArguments open_bindings",
    "collection": "Collection",
    "names": "Names UnknownNameError",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
