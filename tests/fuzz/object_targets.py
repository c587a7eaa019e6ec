"""Targets that take object files: the reader, and all that a spec is asked for without a kernel."""

from __future__ import annotations

import copy
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from aiobpf.asm import Instructions
from aiobpf.btf import BtfBuilder, encode_ext_infos, load_btf_and_ext_infos
from aiobpf.elf import read_spec
from aiobpf.elf.file import ElfFile
from aiobpf.errors import AsmError, BtfError, CodecError, ElfError
from tests.fuzz.mutate_btf import mutate_btf
from tests.fuzz.mutate_bytes import mutate_bytes
from tests.fuzz.mutate_elf import mutate_elf, mutate_ext
from tests.fuzz.target import Target, join_parts, mutate_parts, object_files, split_parts

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_object(data: bytes) -> None:
    """An object file to a spec; then every answer that the spec has."""
    spec = read_spec(data)
    repr(spec)
    for program in spec.programs.values():
        code = program.instructions
        str(code)
        code.references()
        with suppress(AsmError):  # functions of one name, which call each other; a call of what another object defines
            code.functions()
            code.encode()
    for variable in [each for each in spec.variables.values() if each.size <= 1 << 20][:64]:
        with suppress(CodecError):
            repr(variable.value)
    for extern in spec.externs.values():
        repr(extern)
    for each in spec.maps.values():
        repr(each)
    assert copy.deepcopy(spec) is not spec
    if len(data) % 4 == 0:
        spec.copy()


def _ext_info_seeds() -> Iterable[bytes]:
    for data in object_files():
        file = ElfFile(data)
        btf, ext = file.find(".BTF"), file.find(".BTF.ext")
        if btf is not None and ext is not None:
            yield join_parts([bytes(file.data(btf)), bytes(file.data(ext)), struct.pack("<HH", 0, 200)])


def read_ext_infos(data: bytes) -> None:
    """.BTF.ext beside its .BTF, put on a program of some length, and made records again."""
    types, ext, place = split_parts(data, 3)
    btf, infos = load_btf_and_ext_infos(types, ext)
    assert infos is not None
    base, length = struct.unpack("<HH", place[:4].ljust(4, b"\0"))
    for name in infos.sections:
        section = infos.section(name)
        assert section is not None
        repr((section.functions, section.relocations, list(section.lines)))
        code = Instructions.decode(b"\xb7" + bytes(7) + (b"\x07" + bytes(7)) * (length & 0xFFF))
        with suppress(BtfError):
            section.assign(code, base)
        with suppress(BtfError):
            section.assign(code, base, end_slot=base + len(code))
        with suppress(BtfError):
            str(code)
            builder = BtfBuilder(btf.byte_order)
            encode_ext_infos(code, builder)
            builder.encode()


TARGETS = (
    Target("elf", read_object, (ElfError, BtfError), object_files, mutate_elf),
    Target(
        "ext_info", read_ext_infos, (BtfError,), _ext_info_seeds, mutate_parts([mutate_btf, mutate_ext, mutate_bytes])
    ),
)
