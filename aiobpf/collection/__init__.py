"""A whole object: loaded, attached, streamed under one owner.

Names are imported when first used: `aiobpf.load` imports what loads in a worker thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.lazy_names import lazy_names

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

__all__ = [
    "Attached",
    "Bindings",
    "Collection",
    "LoadArguments",
    "Migrated",
    "Names",
    "Replacement",
    "Source",
    "UnknownNameError",
    "open_bindings",
]

_HOMES = {
    "attached": "Attached",
    "bindings": "Bindings LoadArguments open_bindings",
    "collection": "Collection Source",
    "map_migration": "Migrated",
    "names": "Names UnknownNameError",
    "replace": "Replacement",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
