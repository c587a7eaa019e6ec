"""Instructions as text for people: symbols, source lines, CO-RE relocations and externs at their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.asm import COMMENT, LABEL, SYMBOL
from aiobpf.asm.disassembly import disassemble
from aiobpf.btf import CORE_RELOCATION, LINE, describe_relocation
from aiobpf.cli.formats import printable
from aiobpf.cli.object_facts import extern_declaration
from aiobpf.spec import EXTERN

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobpf.asm import Instructions

_TITLE = "bold"
_SOURCE = "green"
_NOTE = "yellow"


def print_code(line: Callable[..., None], instructions: Instructions) -> None:
    """A line for each of *instructions*, below the source line that it was made of."""
    digits = max(4, len(str(instructions.slot_count)) + 1)
    shown = None
    for slot, instruction, text in disassemble(instructions):
        metadata = instruction.metadata
        notes = ""
        if metadata:
            for mark in (SYMBOL, LABEL):
                name = metadata.get(mark)
                if name is not None:
                    line((f"{printable(name)}:", _TITLE))
                    shown = None
            source = metadata.get(LINE)
            if source is not None:
                where = f"{source.file_name.rsplit('/', 1)[-1]}:{source.line}"
                if source.text.strip() and (where, source.text) != shown:
                    line(" " * (digits + 2), (printable(f"; {where}  {_flat(source.text)}"), _SOURCE))
                    shown = (where, source.text)
            comment = metadata.get(COMMENT)
            if comment is not None:
                line(" " * (digits + 2), (printable(f"; {_flat(comment)}"), _SOURCE))
            relocation, extern = metadata.get(CORE_RELOCATION), metadata.get(EXTERN)
            if relocation is not None:
                notes = f"  ; CO-RE {relocation.kind.label}: {describe_relocation(relocation)}"
            elif extern is not None:
                notes = f"  ; {'weak ' if extern.is_weak else ''}{extern.kind.value}: {extern_declaration(extern)}"
        line(f"{slot:>{digits}}: {printable(text)}", (printable(notes), _NOTE))


def _flat(text: str) -> str:
    """A source line on one line, whatever white space is in it."""
    return " ".join(text.split())
