"""A whole object: loaded, attached, streamed under one owner."""

from typing import TYPE_CHECKING

from aiobpf.collection.attached import Attached
from aiobpf.collection.bindings import Bindings, LoadArguments, open_bindings
from aiobpf.collection.collection import Collection, load
from aiobpf.collection.names import Names, UnknownNameError

if TYPE_CHECKING:
    from aiobpf.collection.collection import Source as Source
    from aiobpf.collection.map_migration import Migrated as Migrated
    from aiobpf.collection.replace import Replacement as Replacement

__all__ = ["Attached", "Bindings", "Collection", "LoadArguments", "Names", "UnknownNameError", "load", "open_bindings"]
