"""Targets that take object files: the reader, and all that a spec is asked for without a kernel."""

from __future__ import annotations

import copy
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from aiobpf.asm import Instructions
from aiobpf.btf import Btf, BtfBuilder, BtfFeature, encode_ext_infos, load_btf_and_ext_infos
from aiobpf.compatibility import TargetKernel, check
from aiobpf.elf import read_spec
from aiobpf.elf.file import ElfFile
from aiobpf.errors import AsmError, BtfError, CodecError, ElfError, NotSupportedError, SpecError
from aiobpf.kernel.kconfig import parse_kernel_config
from aiobpf.linker import link_objects
from aiobpf.runtime.program_btf import ProgramBtf
from tests.fuzz.mutate_btf import mutate_btf
from tests.fuzz.mutate_bytes import mutate_bytes
from tests.fuzz.mutate_elf import mutate_elf, mutate_ext
from tests.fuzz.target import OBJECTS, Target, join_parts, mutate_parts, object_files, split_parts

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
        code = Instructions.decode(b"\xb7" + bytes(7) + (b"\x07" + bytes(7)) * (length & 0x1FF))
        with suppress(BtfError):
            section.assign(code, base)
        with suppress(BtfError):
            section.assign(code, base, end_slot=base + len(code))
        with suppress(BtfError):
            str(code)
            builder = BtfBuilder(btf.byte_order)
            encode_ext_infos(code, builder)
            builder.encode()


def collect_types(data: bytes) -> None:
    """The types, functions and lines that a load would give the kernel, for a kernel that knows all of them and for one
    that knows little."""
    spec = read_spec(data)
    collected = ProgramBtf(spec.types)
    for each in spec.maps.values():
        with suppress(BtfError):
            collected.add_map(each)
    for program in spec.programs.values():
        with suppress(BtfError):
            func_info, line_info = collected.add_program(program.instructions.copy())
            assert len(func_info) % 8 == len(line_info) % 16 == 0
    builder = collected.builder
    with suppress(BtfError):
        made = Btf.from_bytes(builder.encode())
        assert len(made.types) == len(builder)
    with suppress(BtfError):
        Btf.from_bytes(builder.encode(without=tuple(BtfFeature)))


def _link_seeds() -> Iterable[bytes]:
    folder = OBJECTS / "linking"
    names = sorted(path.name for path in folder.glob("*.bpf.o"))
    objects = {name: (folder / name).read_bytes() for name in names}
    for number, name in enumerate(names):
        if objects[name][5] == objects[names[number - 1]][5]:
            yield join_parts([objects[name], objects[names[number - 1]]])
    front, back = objects["front.bpf.o"], objects["back.bpf.o"]
    yield join_parts([front, back])
    yield join_parts([back, front])


def link(data: bytes) -> None:
    """Two objects as one, and all that the result is asked for."""
    linked = link_objects(split_parts(data, 2))
    repr(linked)
    for program in linked.programs.values():
        str(program.instructions)
        with suppress(AsmError):
            program.instructions.encode()


def _check_seeds() -> Iterable[bytes]:
    for data in object_files():
        file = ElfFile(data)
        section = file.find(".BTF")
        if section is not None:
            yield join_parts([data, bytes(file.data(section)), b"CONFIG_HZ=250\nCONFIG_BPF=y\n"])


def check_object(data: bytes) -> None:
    """An object checked against a kernel of hostile types and a hostile configuration."""
    source, types, config = split_parts(data, 3)
    kernel = TargetKernel("kernel", Btf.from_bytes(types), config=parse_kernel_config(config), version=(6, 12, 0))
    report = check(read_spec(source), kernel)
    repr(report)


TARGETS = (
    Target("load", collect_types, (ElfError, BtfError), object_files, mutate_elf),
    Target("link", link, (ElfError, BtfError, SpecError), _link_seeds, mutate_parts([mutate_elf, mutate_elf]), 1 << 15),
    Target(
        "check",
        check_object,
        (ElfError, BtfError, SpecError, NotSupportedError),
        _check_seeds,
        mutate_parts([mutate_elf, mutate_btf, mutate_bytes]),
        1 << 15,
    ),
    Target("elf", read_object, (ElfError, BtfError), object_files, mutate_elf),
    Target(
        "ext_info", read_ext_infos, (BtfError,), _ext_info_seeds, mutate_parts([mutate_btf, mutate_ext, mutate_bytes])
    ),
)
