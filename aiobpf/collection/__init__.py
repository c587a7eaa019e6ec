"""A whole object: loaded, attached, streamed under one owner."""

from aiobpf.collection.attached import Attached
from aiobpf.collection.collection import Collection, load
from aiobpf.collection.names import Names, UnknownNameError

__all__ = ["Attached", "Collection", "Names", "UnknownNameError", "load"]
