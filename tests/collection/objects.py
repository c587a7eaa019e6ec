"""Objects of several parts, without those that this kernel is too old for: the rest is to be seen on every kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiobpf.elf import read_spec
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from aiobpf.spec import CollectionSpec

OBJECTS = Path(__file__).parent.parent / "objects"


def map_kinds() -> CollectionSpec:
    """A map of every kind; no program uses the bloom filter (5.16)."""
    spec = read_spec(OBJECTS / "map_kinds.bpf.o")
    spec.maps["bloom"].autocreate = kernel_has("bloom filters")
    return spec


def subprograms() -> CollectionSpec:
    """Programs of several functions; ``loops`` passes some to the kernel as callbacks (5.17)."""
    spec = read_spec(OBJECTS / "subprograms.bpf.o")
    spec.programs["loops"].autoload = kernel_has("loops")
    return spec
