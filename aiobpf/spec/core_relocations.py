"""What an object asks of a kernel's types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.btf import CORE_RELOCATION

if TYPE_CHECKING:
    from aiobpf.btf import CoreRelocation
    from aiobpf.spec.collection import CollectionSpec


def core_relocations(spec: CollectionSpec) -> list[CoreRelocation]:
    """The CO-RE relocations of all programs of *spec*, in the order that a load resolves them in.

    For `aiobpf.btf.minimal_btf`: ``minimal_btf([core_relocations(spec)], kernel).raw`` is a file for ``kernel_btf=``.
    """
    return [note for program in spec.programs.values() for _, note in program.instructions.with_key(CORE_RELOCATION)]
