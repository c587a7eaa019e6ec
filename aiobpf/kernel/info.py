"""What the kernel tells of its objects (BPF_OBJ_GET_INFO_BY_FD)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import KernelError
from aiobpf.kernel.fd import FdLike, number
from aiobpf.kernel.ids import ObjectKind
from aiobpf.kernel.layout import Layout, Record
from aiobpf.kernel.syscall import checked, new_fd
from aiobpf.uapi import Command

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiobpf.kernel.fd import OwnedFd

_GET = Layout("bpf_fd:I info_len:I info:P")
_STATS = Layout("type:I")

_MAP = Layout(
    "type:I id:I key_size:I value_size:I max_entries:I map_flags:I name:16s ifindex:I btf_vmlinux_value_type_id:I"
    " netns_dev:Q netns_ino:Q btf_id:I btf_key_type_id:I btf_value_type_id:I btf_vmlinux_id:I map_extra:Q"
)
_PROGRAM = Layout(
    "type:I id:I tag:8s jited_prog_len:I xlated_prog_len:I jited_prog_insns:P xlated_prog_insns:P load_time:Q"
    " created_by_uid:I nr_map_ids:I map_ids:P name:16s ifindex:I gpl_compatible:I netns_dev:Q netns_ino:Q"
    " nr_jited_ksyms:I nr_jited_func_lens:I jited_ksyms:P jited_func_lens:P btf_id:I func_info_rec_size:I func_info:P"
    " nr_func_info:I nr_line_info:I line_info:P jited_line_info:P nr_jited_line_info:I line_info_rec_size:I"
    " jited_line_info_rec_size:I nr_prog_tags:I prog_tags:P run_time_ns:Q run_cnt:Q recursion_misses:Q"
    " verified_insns:I attach_btf_obj_id:I attach_btf_id:I"
)
_BTF = Layout("btf:P btf_size:I id:I name:P name_len:I kernel_btf:I")


def read_info(fd: FdLike, layout: Layout, *, subject: str, **buffers: int | Buffer | None) -> Record:
    """One BPF_OBJ_GET_INFO_BY_FD into a record of *layout*, with these fields set beforehand.

    A kernel with a shorter struct leaves the rest 0; one with a longer struct fills what is asked for.
    """
    record = layout.make(**buffers)
    attr = _GET.make(bpf_fd=number(fd), info_len=record.size, info=record.buffer)
    checked(Command.OBJ_GET_INFO_BY_FD, attr, subject)
    return record


_IDS = {
    ObjectKind.MAP: Layout("type:I id:I"),
    ObjectKind.PROGRAM: Layout("type:I id:I"),
    ObjectKind.LINK: Layout("type:I id:I"),
    ObjectKind.BTF: Layout("btf:P btf_size:I id:I"),
}


def object_id(fd: FdLike, kind: ObjectKind, *, subject: str = "") -> int:
    """The id of an open object, which is of that kind."""
    return read_info(fd, _IDS[kind], subject=subject or kind.name.lower())["id"]


@frozen
class MapInfo:
    """struct bpf_map_info. Sizes in bytes; the BTF ids are 0 for a map without BTF."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    name: str
    ifindex: int
    btf_id: int
    btf_key_type_id: int
    btf_value_type_id: int
    btf_vmlinux_value_type_id: int
    map_extra: int


def map_info(map: FdLike, *, subject: str = "map") -> MapInfo:  # noqa: A002 the field's own word
    info = read_info(map, _MAP, subject=subject)
    return MapInfo(
        type=info["type"],
        id=info["id"],
        key_size=info["key_size"],
        value_size=info["value_size"],
        max_entries=info["max_entries"],
        flags=info["map_flags"],
        name=info.text("name"),
        ifindex=info["ifindex"],
        btf_id=info["btf_id"],
        btf_key_type_id=info["btf_key_type_id"],
        btf_value_type_id=info["btf_value_type_id"],
        btf_vmlinux_value_type_id=info["btf_vmlinux_value_type_id"],
        map_extra=info["map_extra"],
    )


@frozen
class ProgramStats:
    """How often a program ran, and for how long; they count while `enable_stats` is on."""

    run_time_ns: int
    run_count: int
    recursion_misses: int
    """Runs that were left out because the program was running already (5.12)."""


@frozen
class ProgramInfo:
    """struct bpf_prog_info, with what it points at when it was asked for (`program_info`), else empty."""

    type: int
    id: int
    name: str
    tag: bytes
    """The hash of the instructions, 8 bytes."""
    load_time_ns: int
    """Since boot (CLOCK_BOOTTIME)."""
    uid: int
    is_gpl_compatible: bool
    ifindex: int
    xlated_size: int
    """Bytes of the instructions as the kernel rewrote them; 0 where it may not be seen."""
    jited_size: int
    verified_instructions: int
    btf_id: int
    attach_btf_object_id: int
    attach_btf_id: int
    stats: ProgramStats
    map_ids: tuple[int, ...]
    xlated: bytes = b""
    """Wire slots of 8 bytes; pointers are blinded without CAP_PERFMON and CAP_BPF."""
    jited: bytes = b""
    func_info: bytes = b""
    """Records of 8 bytes: u32 slot of the rewritten instructions, u32 type id in `btf_id`."""
    line_info: bytes = b""
    """Records of 16 bytes: u32 slot, file name offset, line offset, line << 10 | column."""
    jited_symbols: tuple[int, ...] = ()
    """The address of each function."""
    jited_lengths: tuple[int, ...] = ()
    """The bytes of each function in `jited`, where they follow one another."""
    jited_lines: tuple[int, ...] = ()
    """The address where the code of each record of `line_info` begins."""
    function_tags: tuple[bytes, ...] = ()
    """The tag of each function, 8 bytes. kallsyms has it in the function's name, bpf_prog_TAG_NAME; the entry stands
    there under the program's own."""


def program_stats(program: FdLike, *, subject: str = "program") -> ProgramStats:
    return _stats(read_info(program, _PROGRAM, subject=subject))


def program_info(program: FdLike, *, instructions: bool = False, subject: str = "program") -> ProgramInfo:
    """What the kernel says of *program*; with *instructions* also its code and the records that describe it.

    The sizes are asked for first, then the contents: a program never changes, so they fit (but for the symbols of a
    program that the JIT has not yet finished).
    """
    info = read_info(program, _PROGRAM, subject=subject)
    map_ids = bytearray(4 * info["nr_map_ids"])
    buffers: dict[str, int | Buffer | None] = {"nr_map_ids": info["nr_map_ids"], "map_ids": map_ids}
    empty = bytearray()
    xlated = jited = func_info = line_info = symbols = lengths = jited_lines = tags = empty
    if instructions:
        xlated = bytearray(info["xlated_prog_len"])
        jited = bytearray(info["jited_prog_len"])
        func_info = bytearray(8 * info["nr_func_info"])
        line_info = bytearray(16 * info["nr_line_info"])
        symbols = bytearray(8 * info["nr_jited_ksyms"])
        lengths = bytearray(4 * info["nr_jited_func_lens"])
        jited_lines = bytearray(8 * info["nr_jited_line_info"])
        tags = bytearray(8 * info["nr_prog_tags"])
        buffers |= {
            "xlated_prog_len": len(xlated),
            "xlated_prog_insns": xlated,
            "jited_prog_len": len(jited),
            "jited_prog_insns": jited,
            "func_info_rec_size": 8,
            "nr_func_info": info["nr_func_info"],
            "func_info": func_info,
            "line_info_rec_size": 16,
            "nr_line_info": info["nr_line_info"],
            "line_info": line_info,
            "nr_jited_ksyms": info["nr_jited_ksyms"],
            "jited_ksyms": symbols,
            "nr_jited_func_lens": info["nr_jited_func_lens"],
            "jited_func_lens": lengths,
            "jited_line_info_rec_size": 8,
            "nr_jited_line_info": info["nr_jited_line_info"],
            "jited_line_info": jited_lines,
            "nr_prog_tags": info["nr_prog_tags"],
            "prog_tags": tags,
        }
    if map_ids or instructions:
        info = read_info(program, _PROGRAM, subject=subject, **buffers)
    return ProgramInfo(
        type=info["type"],
        id=info["id"],
        name=info.text("name"),
        tag=info.raw("tag"),
        load_time_ns=info["load_time"],
        uid=info["created_by_uid"],
        is_gpl_compatible=bool(info["gpl_compatible"] & 1),
        ifindex=info["ifindex"],
        xlated_size=info["xlated_prog_len"],
        jited_size=info["jited_prog_len"],
        verified_instructions=info["verified_insns"],
        btf_id=info["btf_id"],
        attach_btf_object_id=info["attach_btf_obj_id"],
        attach_btf_id=info["attach_btf_id"],
        stats=_stats(info),
        map_ids=tuple(memoryview(map_ids).cast("I")),
        xlated=bytes(xlated),
        jited=bytes(jited),
        func_info=bytes(func_info),
        line_info=bytes(line_info),
        jited_symbols=tuple(memoryview(symbols).cast("Q")),
        jited_lengths=tuple(memoryview(lengths).cast("I")),
        jited_lines=tuple(memoryview(jited_lines).cast("Q")),
        function_tags=tuple(bytes(tags[at : at + 8]) for at in range(0, len(tags), 8)),
    )


def _stats(info: Record) -> ProgramStats:
    return ProgramStats(info["run_time_ns"], info["run_cnt"], info["recursion_misses"])


@frozen
class BtfInfo:
    """struct bpf_btf_info."""

    id: int
    name: str
    """"vmlinux", the name of a module, or "" for one that a process loaded."""
    is_kernel: bool
    size: int
    data: bytes
    """The raw BTF when it was asked for."""


def names_btf_objects(btf: FdLike) -> bool:
    """Whether the kernel can be asked for the name of a BTF object: it came with the objects of modules (5.11)."""
    name = bytearray(64)
    try:
        read_info(btf, _BTF, subject="BTF", name=name, name_len=len(name))
    except KernelError as error:
        if error.errno != errno.E2BIG:
            raise
        return False
    return True


def btf_info(btf: FdLike, *, data: bool = False, subject: str = "BTF") -> BtfInfo:
    """What the kernel says of a BTF object; with *data* the raw BTF itself (split for a module).

    Before 5.11 the kernel has objects only for what processes loaded, and no names.
    """
    name = bytearray(64)
    named: dict[str, int | Buffer | None] = {"name": name, "name_len": len(name)}
    try:
        info = read_info(btf, _BTF, subject=subject, **named)
    except KernelError as error:
        if error.errno != errno.E2BIG:  # before 5.11 the struct ends with the id
            raise
        named = {}
        info = read_info(btf, _BTF, subject=subject)
    raw = bytearray(info["btf_size"] if data else 0)
    if raw:
        info = read_info(btf, _BTF, subject=subject, btf=raw, btf_size=len(raw), **named)
    return BtfInfo(
        id=info["id"],
        name=bytes(name).split(b"\0", 1)[0].decode(errors="replace"),
        is_kernel=bool(info["kernel_btf"]),
        size=info["btf_size"],
        data=bytes(raw),
    )


def enable_stats() -> OwnedFd:
    """Let run times count until this is closed (BPF_ENABLE_STATS, 5.8). They cost some 20 ns a run, system-wide."""
    return new_fd(Command.ENABLE_STATS, _STATS.make(type=0), "BPF run-time statistics")
