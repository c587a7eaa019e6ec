"""The smallest map or program that has each feature. A descriptor or True says yes, False no, an OSError why not."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel.btf_probes import PLAIN_BTF, tagged_context, two_functions
from aiobpf.kernel.cpus import possible_cpus
from aiobpf.kernel.elements import MapElements
from aiobpf.kernel.info import names_btf_objects
from aiobpf.kernel.layout import Layout
from aiobpf.kernel.links import link_create, link_uprobe_multi
from aiobpf.kernel.maps import create_map
from aiobpf.kernel.programs import bind_map, load_btf, load_program, log_text
from aiobpf.kernel.release import kernel_version_code
from aiobpf.kernel.syscall import ENOTSUPP, checked
from aiobpf.uapi import AttachType, Command, MapFlags, MapType, ProgramFlags, ProgramType, UpdateFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiobpf.kernel.fd import FdLike, OwnedFd


def _slot(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, constant: int = 0) -> bytes:
    import sys

    registers = src << 4 | dst if sys.byteorder == "little" else dst << 4 | src
    return struct.pack("=BBhi", opcode, registers, offset, constant)


RETURN_0 = _slot(0xB7) + _slot(0x95)  # r0 = 0; exit
RETURN_1 = _slot(0xB7, constant=1) + _slot(0x95)


def calling(helper: int, *before: bytes) -> bytes:
    """A call of the helper, after *before*."""
    return b"".join(before) + _slot(0x85, constant=helper) + RETURN_0


def calling_kfunc(type_id: int, index: int = 0) -> bytes:
    """A call of a kernel function by its BTF id, in vmlinux or in the BTF object at *index* of the fd array."""
    return _slot(0x85, 0, 2, index, type_id) + RETURN_0


def _object_names(token: FdLike | None) -> OwnedFd:
    return load_program(ProgramType.SOCKET_FILTER, RETURN_0, name="probe", token=token)


def _expected_attach_type(token: FdLike | None) -> OwnedFd:
    return load_program(
        ProgramType.CGROUP_SOCK,
        RETURN_1,
        expected_attach_type=AttachType.CGROUP_INET_SOCK_CREATE,
        token=token,
    )


def _global_data(token: FdLike | None) -> OwnedFd:
    with create_map(MapType.ARRAY, 4, 32, 1, token=token) as array:
        load = _slot(0x18, 1, 2, constant=array.fileno()) + _slot(0, constant=16)  # r1 = &array[0] + 16
        store = _slot(0x7A, 1, constant=42)
        return load_program(ProgramType.SOCKET_FILTER, load + store + RETURN_0, token=token)


def _mmapable_array(token: FdLike | None) -> OwnedFd:
    return create_map(MapType.ARRAY, 4, 4, 1, flags=MapFlags.MMAPABLE, token=token)


def _probe_read_kernel(token: FdLike | None) -> OwnedFd:
    # r1 = r10 - 8, r2 = 8, r3 = 0
    arguments = (_slot(0xBF, 1, 10), _slot(0x07, 1, constant=-8), _slot(0xB7, 2, constant=8), _slot(0xB7, 3))
    return load_program(ProgramType.TRACEPOINT, calling(113, *arguments), token=token)


def _prog_bind_map(token: FdLike | None) -> bool:
    with (
        create_map(MapType.ARRAY, 4, 32, 1, token=token) as array,
        load_program(ProgramType.SOCKET_FILTER, RETURN_0, token=token) as program,
    ):
        bind_map(program, array)
    return True


def _module_btf(token: FdLike | None) -> bool:
    with load_btf(PLAIN_BTF, token=token) as btf:
        return names_btf_objects(btf)


def _memcg_accounting(token: FdLike | None) -> OwnedFd:
    # bpf_ktime_get_coarse_ns came with it (5.11), as libbpf tells them apart.
    return load_program(ProgramType.SOCKET_FILTER, calling(160), token=token)


def _atomics(token: FdLike | None) -> OwnedFd:
    # *(u64 *)(r10 - 8) = 0; r1 = 1; r1 = atomic_fetch_add((u64 *)(r10 - 8), r1)
    code = _slot(0x7A, 10, 0, -8) + _slot(0xB7, 1, constant=1) + _slot(0xDB, 10, 1, -8, 1)
    return load_program(ProgramType.SOCKET_FILTER, code + RETURN_0, token=token)


def _function_pointers(token: FdLike | None) -> OwnedFd:
    types, main, callback = two_functions()
    with create_map(MapType.HASH, 4, 4, 1, token=token) as table, load_btf(types, token=token) as btf:
        # bpf_for_each_map_elem(&table, callback, NULL, 0); return 0; and behind it the callback, which returns 0
        code = _slot(0x18, 1, 1, constant=table.fileno()) + _slot(0) + _slot(0x18, 2, 4, constant=6) + _slot(0)
        code += _slot(0xB7, 3) + _slot(0xB7, 4) + calling(164) + RETURN_0
        functions = struct.pack("=IIII", 0, main, 9, callback)
        return load_program(ProgramType.SOCKET_FILTER, code, btf=btf, func_info=functions, token=token)


def _isa_v2(token: FdLike | None) -> OwnedFd:
    # r0 = 0; if r0 < 0 goto +0: the unsigned comparisons of -mcpu=v2
    return load_program(ProgramType.SOCKET_FILTER, _slot(0xB7) + _slot(0xA5) + _slot(0x95), token=token)


def _isa_v3(token: FdLike | None) -> OwnedFd:
    # r0 = 0; if w0 == 0 goto +0
    return load_program(ProgramType.SOCKET_FILTER, _slot(0xB7) + _slot(0x16) + _slot(0x95), token=token)


def _bounded_loops(token: FdLike | None) -> OwnedFd:
    # r0 = 10; do r0 -= 1 while r0 != 0
    code = _slot(0xB7, constant=10) + _slot(0x07, constant=-1) + _slot(0x55, offset=-2) + _slot(0x95)
    return load_program(ProgramType.SOCKET_FILTER, code, token=token)


def _large_programs(token: FdLike | None) -> OwnedFd:
    return load_program(ProgramType.SOCKET_FILTER, _slot(0xB7) * 4096 + _slot(0x95), token=token)


def _isa_v4(token: FdLike | None) -> OwnedFd:
    # r0 = 0; r0 = (s8)r0
    return load_program(ProgramType.SOCKET_FILTER, _slot(0xB7) + _slot(0xBF, 0, 0, 8) + _slot(0x95), token=token)


def _may_goto(token: FdLike | None) -> OwnedFd:
    # r0 = 0; a loop that only may_goto leaves; exit. One that goes nowhere (+0) is taken since 6.14 alone.
    code = _slot(0xB7) + _slot(0xE5, offset=1) + _slot(0x05, offset=-2) + _slot(0x95)
    return load_program(ProgramType.SOCKET_FILTER, code, token=token)


def _load_acquire(token: FdLike | None) -> OwnedFd:
    # *(u64 *)(r10 - 8) = 0; r0 = load_acquire((u64 *)(r10 - 8)): the JIT has to know it too
    code = _slot(0x7A, 10, 0, -8) + _slot(0xDB, 0, 10, -8, 0x100)
    return load_program(ProgramType.SOCKET_FILTER, code + RETURN_0, token=token)


def _perf_link(token: FdLike | None) -> bool:
    with load_program(ProgramType.TRACEPOINT, RETURN_0, token=token) as program:
        try:
            link_create(program, -1, AttachType.PERF_EVENT).close()
        except KernelError as error:
            if error.errno == errno.EBADF:  # it looked for the perf event
                return True
            raise
    return True


def _bpf_cookie(token: FdLike | None) -> OwnedFd:
    return load_program(ProgramType.TRACEPOINT, calling(174), token=token)


def _full_range_offsets(token: FdLike | None) -> bool:
    # 1 GiB into a map is outside of it either way; what is asked is which of the two the verifier says.
    with create_map(MapType.ARRAY, 4, 32, 1, token=token) as array:
        code = _slot(0x18, 1, 2, constant=array.fileno()) + _slot(0, constant=1 << 30) + RETURN_0
        log = bytearray(4096)
        try:
            load_program(ProgramType.SOCKET_FILTER, code, log=log, log_level=1, token=token).close()
        except KernelError as error:
            text = log_text(log)
            return (bool(text) and "direct value offset" not in text) or (not text and _again(error))
    return True


def _uprobe_multi(token: FdLike | None) -> bool:
    return _uprobe_multi_answer(token, pid=0) == errno.EBADF  # it looked at the file, which is none


def _uprobe_multi_process(token: FdLike | None) -> bool:
    # Who takes any pid, and looks at the file then, watches one thread alone (46ba0e49b642, in stable kernels too).
    return _uprobe_multi(token) and _uprobe_multi_answer(token, pid=(1 << 32) - 1) == errno.EINVAL


def _uprobe_multi_answer(token: FdLike | None, pid: int) -> int | None:
    kind = AttachType.TRACE_UPROBE_MULTI
    with load_program(ProgramType.KPROBE, RETURN_0, expected_attach_type=kind, token=token) as program:
        try:
            link_uprobe_multi(program, "/", [0], pid=pid).close()
        except KernelError as error:
            if error.errno in {errno.EPERM, errno.EACCES}:
                raise
            return error.errno
    return None


def _arg_ctx_tag(token: FdLike | None) -> OwnedFd:
    types, main, function = tagged_context()
    # call the global function behind; exit; there: r0 = skb->len, for which the argument must be the context
    code = _slot(0x85, src=1, constant=1) + _slot(0x95) + _slot(0x61, 0, 1) + _slot(0x95)
    with load_btf(types, token=token) as btf:
        functions = struct.pack("=IIII", 0, main, 2, function)
        return load_program(ProgramType.SOCKET_FILTER, code, btf=btf, func_info=functions, token=token)


def _token(_: FdLike | None) -> bool:
    try:
        checked(Command.TOKEN_CREATE, _TOKEN_CREATE.make(bpffs_fd=-1), "token")
    except KernelError as error:
        if error.errno == errno.EBADF:  # it looked for the bpffs
            return True
        raise
    return True


_TOKEN_CREATE = Layout("flags:I bpffs_fd:I")


def _one_cpu_value(token: FdLike | None) -> bool:
    with create_map(MapType.PERCPU_ARRAY, 4, 8, 1, token=token) as values:
        elements = MapElements(values.fileno(), 4, 8 * len(possible_cpus()))
        elements.update(bytes(4), bytes(elements.value_size), UpdateFlags.CPU)
    return True


PROBES: Mapping[str, Callable[[FdLike | None], OwnedFd | bool]] = {
    "OBJECT_NAMES": _object_names,
    "EXPECTED_ATTACH_TYPE": _expected_attach_type,
    "GLOBAL_DATA": _global_data,
    "MMAPABLE_ARRAY": _mmapable_array,
    "PROBE_READ_KERNEL": _probe_read_kernel,
    "PROG_BIND_MAP": _prog_bind_map,
    "MODULE_BTF": _module_btf,
    "MEMCG_ACCOUNTING": _memcg_accounting,
    "ATOMICS": _atomics,
    "FUNCTION_POINTERS": _function_pointers,
    "PERF_LINK": _perf_link,
    "BPF_COOKIE": _bpf_cookie,
    "FULL_RANGE_OFFSETS": _full_range_offsets,
    "UPROBE_MULTI": _uprobe_multi,
    "ISA_V2": _isa_v2,
    "ISA_V3": _isa_v3,
    "UPROBE_MULTI_PROCESS": _uprobe_multi_process,
    "ISA_V4": _isa_v4,
    "BOUNDED_LOOPS": _bounded_loops,
    "LARGE_PROGRAMS": _large_programs,
    "ARG_CTX_TAG": _arg_ctx_tag,
    "TOKEN": _token,
    "MAY_GOTO": _may_goto,
    "LOAD_ACQUIRE": _load_acquire,
    "ONE_CPU_VALUE": _one_cpu_value,
}
"""By the name of the Feature."""

_SIZES: Mapping[MapType, tuple[int, int, int]] = {
    MapType.STACK_TRACE: (4, 8, 1),
    MapType.LPM_TRIE: (8, 8, 1),
    MapType.CGROUP_STORAGE: (16, 8, 0),
    MapType.PERCPU_CGROUP_STORAGE: (16, 8, 0),
    MapType.QUEUE: (0, 4, 1),
    MapType.STACK: (0, 4, 1),
    MapType.BLOOM_FILTER: (0, 4, 1),
    MapType.RINGBUF: (0, 0, 4096),
    MapType.USER_RINGBUF: (0, 0, 4096),
    MapType.ARENA: (0, 0, 1),
    MapType.INSN_ARRAY: (4, 16, 1),
}
_STORAGE = frozenset({MapType.SK_STORAGE, MapType.INODE_STORAGE, MapType.TASK_STORAGE, MapType.CGRP_STORAGE})
_MAPS_OF_MAPS = frozenset({MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS})
_FLAGS: Mapping[MapType, int] = {
    MapType.LPM_TRIE: MapFlags.NO_PREALLOC,
    MapType.RHASH: MapFlags.NO_PREALLOC,
    MapType.ARENA: MapFlags.MMAPABLE,
}


def probe_map_type(map_type: MapType, token: FdLike | None = None) -> OwnedFd | bool:
    """Create the smallest map of that type."""
    if map_type == MapType.STRUCT_OPS:
        # It cannot be made without a kernel type; asked for type 1, a kernel that knows it says ENOTSUPP.
        try:
            create_map(map_type, 4, 4, 1, kernel_value_type_id=1, token=token).close()
        except KernelError as error:
            return error.errno == ENOTSUPP or _again(error)
        return True
    return make_map(map_type, token)


def make_map(
    map_type: MapType, token: FdLike | None = None, *, flags: int = 0, numa_node: int | None = None
) -> OwnedFd:
    """The smallest map of that type, with these flags beside those that it must have."""
    key_size, value_size, entries = _SIZES.get(map_type, (4, 4, 1))
    flags |= _FLAGS.get(map_type, 0)
    if map_type in {MapType.RINGBUF, MapType.USER_RINGBUF}:
        import mmap

        entries = mmap.PAGESIZE
    if map_type in _MAPS_OF_MAPS:
        with create_map(MapType.HASH, 4, 4, 1, token=token) as inner:
            return create_map(map_type, 4, 4, 1, inner=inner, flags=flags, numa_node=numa_node, token=token)
    if map_type in _STORAGE:
        with load_btf(PLAIN_BTF, token=token) as btf:
            return create_map(
                map_type,
                4,
                4,
                0,
                flags=flags | MapFlags.NO_PREALLOC,
                btf=btf,
                key_type_id=1,
                value_type_id=1,
                numa_node=numa_node,
                token=token,
            )
    return create_map(map_type, key_size, value_size, entries, flags=flags, numa_node=numa_node, token=token)


EXPECTED_ATTACH_TYPES: Mapping[ProgramType, AttachType] = {
    ProgramType.CGROUP_SOCK_ADDR: AttachType.CGROUP_INET4_CONNECT,
    ProgramType.CGROUP_SOCKOPT: AttachType.CGROUP_GETSOCKOPT,
    ProgramType.SK_LOOKUP: AttachType.SK_LOOKUP,
    ProgramType.LIRC_MODE2: AttachType.LIRC_MODE2,
    ProgramType.FLOW_DISSECTOR: AttachType.FLOW_DISSECTOR,
    ProgramType.NETFILTER: AttachType.NETFILTER,
    ProgramType.TRACING: AttachType.TRACE_RAW_TP,
    ProgramType.LSM: AttachType.LSM_MAC,
}


def probe_program_type(program_type: ProgramType, token: FdLike | None = None) -> OwnedFd | bool:
    """Load the smallest program of that type."""
    code = RETURN_0
    log: bytearray | None = None
    if program_type in {ProgramType.TRACING, ProgramType.LSM, ProgramType.EXT}:
        log = bytearray(4096)
    try:
        made = load_program(
            program_type,
            code,
            expected_attach_type=EXPECTED_ATTACH_TYPES.get(program_type, 0),
            attach_btf_id=1 if log is not None else 0,
            flags=ProgramFlags.SLEEPABLE if program_type == ProgramType.SYSCALL else 0,
            kernel_version=kernel_version_code(),  # kprobes had to match it before 5.0
            log=log,
            log_level=1 if log is not None else 0,
            token=token,
        )
    except NotSupportedError:  # trampolines are refused
        return False
    except KernelError as error:
        if log is not None:
            # Type 1 of the kernel is nothing to hang on, which a kernel that knows the program type says.
            text = log_text(log)
            said = {
                ProgramType.TRACING: "attach_btf_id 1 is not a typedef",
                ProgramType.LSM: "attach_btf_id 1 is not a function",
                ProgramType.EXT: "Cannot replace kernel functions",
            }
            return said[program_type] in text or _again(error)
        if program_type == ProgramType.STRUCT_OPS:
            return error.errno == ENOTSUPP or _again(error)
        raise
    return made


def _again(error: KernelError) -> bool:
    raise error
