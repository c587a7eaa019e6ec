"""From a MapSpec to a map: what the kernel wants of each type, what it holds at first, pins that are found again."""

from __future__ import annotations

import contextlib
import errno
import mmap as _mmap
import os
import struct
from typing import TYPE_CHECKING, cast

import attrs

from aiobpf import kernel
from aiobpf.btf import Array, Int, IntEncoding
from aiobpf.errors import KernelError, NotSupportedError, ObjectExistsError, SpecError, kernel_error
from aiobpf.kernel import Feature, features
from aiobpf.kernel.first_kernels import MAP_TYPES_SINCE
from aiobpf.kernel.tokens import opened_token
from aiobpf.runtime.arena import fill_globals
from aiobpf.runtime.element import BTF_TYPES, MAP_IN_MAP_TYPES, PER_CPU_TYPES, SOCKET_VALUE_TYPES
from aiobpf.runtime.map import Map
from aiobpf.runtime.map_refusal import missing_field, why_refused
from aiobpf.runtime.owner_key import STORAGE_TYPES
from aiobpf.spec import Pinning
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from aiobpf.kernel import OwnedFd
    from aiobpf.kernel.tokens import TokenSource
    from aiobpf.runtime.element import PerCpuElement
    from aiobpf.runtime.program import Program
    from aiobpf.runtime.program_btf import TypeIds
    from aiobpf.spec import MapSpec

# Types without map_check_btf in the kernel: a BTF key or value makes BPF_MAP_CREATE fail (kernel/bpf/syscall.c).
_WITHOUT_BTF = frozenset(
    {
        MapType.PERF_EVENT_ARRAY,
        MapType.PROG_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.STACK_TRACE,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.REUSEPORT_SOCKARRAY,
        MapType.QUEUE,
        MapType.STACK,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
        MapType.ARENA,
    }
)
DEFAULT_PIN_PATH = "/sys/fs/bpf"
"""Where a map is pinned by name if nobody says where: libbpf's folder, so that programs of both share their maps."""
_FD = struct.Struct("=I")
_LARGEST_RING = 1 << 31
_RINGS = frozenset({MapType.RINGBUF, MapType.USER_RINGBUF})
_TOO_NEW = kernel.UNSUPPORTED_ERRNOS | {errno.E2BIG}
"""What a kernel says to a field, a flag or a type that it does not know."""
_FD_ARRAYS = frozenset({MapType.PERF_EVENT_ARRAY, MapType.PROG_ARRAY, MapType.CGROUP_ARRAY})


def create_map(spec: MapSpec, pin_path: str | PathLike[str] | None = None, token: TokenSource = "auto") -> Map:
    """The map of *spec* alone, filled and frozen; its contents name no other map or program."""
    from aiobpf.runtime.program_btf import ProgramBtf

    kernel.raise_memlock_limit()
    has_types = spec.value is not None
    spec = fit_to_kernel(spec)
    with opened_token(token) as token_fd, ProgramBtf() as btf:
        btf.add_map(spec)
        btf.load(token_fd)
        made, is_new = open_or_create(spec, pin_path, btf, token=token_fd)
    if not is_new:
        return made
    if not has_types:
        made.value_type = None  # what a storage was given is for the kernel: to Python its values are bytes
    try:
        fill_map(made, spec.contents, {}, {})
        if spec.is_frozen:
            made.freeze()
    except BaseException:
        undo(made)
        raise
    return made


def undo(made: Map) -> None:
    """Take back a map that was made for nothing, and its pin; never an error of its own."""
    with contextlib.suppress(OSError):
        made.unpin()
    made.close()


def fit_to_kernel(spec: MapSpec) -> MapSpec:
    """*spec* with what the kernel wants filled in: sizes of fd arrays, entries by CPU, ring sizes, mappable data."""
    for field in ("key_size", "value_size", "max_entries"):
        number = getattr(spec, field)
        if not 0 <= number < 1 << 32:
            raise SpecError(f"map {spec.name!r}: {field} is {number}, which does not fit 32 bits")
    spec = attrs.evolve(spec)  # a shallow copy: only sizes, entries and flags change
    if spec.type in _FD_ARRAYS | MAP_IN_MAP_TYPES:
        # A perf array's value type says what a record is; what it holds are fds.
        spec.value_size = 4 if spec.type == MapType.PERF_EVENT_ARRAY else spec.value_size or 4
        if spec.type != MapType.HASH_OF_MAPS:
            spec.key_size = spec.key_size or 4
    if spec.type == MapType.PERF_EVENT_ARRAY and spec.max_entries == 0:
        spec.max_entries = len(kernel.possible_cpus())
    if spec.type in STORAGE_TYPES or spec.type == MapType.RHASH:
        spec.flags |= MapFlags.NO_PREALLOC  # they know no other way
    if spec.type in STORAGE_TYPES:
        # The kernel takes no storage without BTF, and its key can only be an int: a descriptor.
        spec.key_size = spec.key_size or 4
        spec.key = spec.key or Int("int", 4, encoding=IntEncoding.SIGNED)
        spec.value = spec.value or Array(Int("unsigned char", 1), Int("unsigned int", 4), spec.value_size)
    if spec.type in SOCKET_VALUE_TYPES:
        # Sockets are given by a descriptor of 4 bytes; 8 have room for the cookie that is read back.
        spec.value_size = spec.value_size or (4 if spec.type == MapType.XSKMAP else 8)
    if spec.type in _RINGS:
        spec.max_entries = _ring_size(spec.max_entries)
        spec.key_size = spec.value_size = 0  # a value's type says what a record is; the kernel knows none of it
    if (spec.section is not None and spec.type == MapType.ARRAY) or spec.type == MapType.ARENA:
        spec.flags |= MapFlags.MMAPABLE
    return spec


def _ring_size(size: int) -> int:
    """A ring is a power of two of at least one page (kernel/bpf/ringbuf.c), in bytes; rounded up as libbpf does."""
    if size == 0 or size > _LARGEST_RING:
        return size  # the kernel's EINVAL says it
    return max(_mmap.PAGESIZE, 1 << (size - 1).bit_length())


def create_empty_map(spec: MapSpec, types: TypeIds, *, token: int | None = None) -> Map:
    """The map of *spec* with nothing in it; *types* knows the ids of its key and value in a loaded BTF."""
    spec = fit_to_kernel(spec)
    subject = f"map {spec.name!r}"
    if spec.extra:
        raise SpecError(
            f"{subject}: its definition has {len(spec.extra)} bytes behind those that are understood here; when you "
            f"have made use of them, spec.maps[{spec.name!r}].extra = b''"
        )
    if spec.type == MapType.STRUCT_OPS:
        raise SpecError(f"{subject} holds programs, so its collection makes it: aiobpf.load(spec, programs=[...])")
    inner: Map | None = None
    if spec.type in MAP_IN_MAP_TYPES:
        if spec.inner is None:
            raise SpecError(f"{subject} is a {spec.type.name} map without an inner map: declare its values")
        inner = create_empty_map(spec.inner, types, token=token)
    try:
        fd = _create(spec, types, inner, token)
    except KernelError as error:
        since = MAP_TYPES_SINCE.get(spec.type)
        if error.errno in kernel.UNSUPPORTED_ERRNOS and since is not None and not features.supports_map_type(spec.type):
            hint = f"Where no program needs it, leave it out: spec.maps[{spec.name!r}].autocreate = False"
            raise NotSupportedError(f"map type {spec.type.name} ({subject})", since, hint) from error
        if (missing := missing_field(spec, error.errno or 0, token)) is not None:
            raise missing from error
        if (why := why_refused(spec, error.errno or 0)) is not None:
            raise kernel_error(error.errno or 0, error.operation, subject, why) from error
        raise
    finally:
        if inner is not None:
            inner.close()
    made = Map(
        fd,
        name=spec.name,
        type=spec.type,
        key_size=spec.key_size,
        value_size=spec.value_size,
        max_entries=spec.max_entries,
        flags=spec.flags,
        key_type=spec.key,
        value_type=spec.value,
        types=types.source,
        spec=spec,
        map_extra=spec.map_extra,
    )
    if spec.type == MapType.ARENA:
        try:
            made.shared_memory(writable=True)  # the kernel loads no program that uses an arena without an address
        except BaseException:
            made.close()
            raise
    return made


def _create(spec: MapSpec, types: TypeIds, inner: Map | None, token: int | None) -> OwnedFd:
    """The map's descriptor. What this kernel is too old for, *spec* loses, one after the other; it is asked only once
    it refuses, so that a map costs one system call elsewhere."""
    name = spec.name
    ids = None if spec.type in _WITHOUT_BTF else types.map_ids(spec)
    while True:
        try:
            return kernel.create_map(
                spec.type,
                spec.key_size,
                spec.value_size,
                spec.max_entries,
                name=name,
                subject=f"map {spec.name!r}",
                flags=spec.flags,
                inner=inner,
                map_extra=spec.map_extra,
                ifindex=spec.ifindex,
                numa_node=spec.numa_node,
                token=token,
                exclusive_program_hash=spec.exclusive_program,
                btf=None if ids is None else types.fd,
                key_type_id=0 if ids is None else ids[0],
                value_type_id=0 if ids is None else ids[1],
            )
        except KernelError as error:
            if error.errno not in _TOO_NEW:
                raise
            if name and not features.may_support(Feature.OBJECT_NAMES, token):
                name = ""
            elif _is_mapped_section(spec) and not features.may_support(Feature.MMAPABLE_ARRAY, token):
                spec.flags &= ~MapFlags.MMAPABLE  # its variables are in it all the same, but not live
            elif ids is not None and spec.type not in BTF_TYPES:
                ids = None  # some types take only some BTF (a trie's key must be a struct)
            else:
                raise


def _is_mapped_section(spec: MapSpec) -> bool:
    return spec.section is not None and bool(spec.flags & MapFlags.MMAPABLE)


def fill_map(
    made: Map,
    contents: Mapping[bytes, bytes | str],
    maps: Mapping[str, Map],
    programs: Mapping[str, Program],
) -> None:
    """Write *contents*; a value that is a name is the fd of that map or program."""
    if made.type == MapType.ARENA:
        fill_globals(made, contents)
        return
    elements = made.elements
    for key, value in contents.items():
        if isinstance(value, str):
            target = maps.get(value) or programs.get(value)
            if target is None:
                raise SpecError(f"map {made.name!r} is to hold {value!r}, which is no map or program that was loaded")
            elements.update(key, _FD.pack(target.fileno()), 0)
        elif made.type in PER_CPU_TYPES:
            elements.update(key, cast("PerCpuElement", made.value_codec).spread(value), 0)
        elif made.type != MapType.ARRAY or value != bytes(len(value)):  # an array begins as zeros
            elements.update(key, value, 0)


def open_or_create(
    spec: MapSpec, pin_path: str | PathLike[str] | None, types: TypeIds, *, token: int | None
) -> tuple[Map, bool]:
    """The map pinned under its name in *pin_path* if it asks for that and is there, else a new one; whether it is new.

    A new one is pinned. No *pin_path* means `DEFAULT_PIN_PATH`. SpecError where what is pinned there is no map, or
    another kind of map than the spec's; KernelError where the folder is not in a bpffs.
    """
    if spec.pinning == Pinning.NONE:
        return create_empty_map(spec, types, token=token), True
    path = os.path.join(DEFAULT_PIN_PATH if pin_path is None else os.fspath(pin_path), pin_name(spec.name))
    try:
        fd = kernel.open_pin(path, kind="map")
    except FileNotFoundError:
        made = create_empty_map(spec, types, token=token)
        try:
            made.pin(path)
        except ObjectExistsError:  # someone pinned theirs between the look and this: that one counts
            made.close()
            fd = kernel.open_pin(path, kind="map")
        except BaseException:
            made.close()
            raise
        else:
            return made, True
    found = Map.from_fd(fd, spec, types.source)
    found.pin_path = path
    try:
        require_compatible(found, spec, f"the map pinned at {path}")
    except BaseException:
        found.close()
        raise
    return found, False


def pin_name(name: str, what: str = "map") -> str:
    """The name of a pin by name: dots become underscores, as in libbpf (since 5.2 a bpffs keeps them for itself)."""
    if "/" in name or name in {"", ".", ".."}:
        raise SpecError(f"a {what} named {name!r} cannot be pinned by its name")
    return name.replace(".", "_")


def require_compatible(found: Map, spec: MapSpec, what: str) -> None:
    """SpecError listing each difference between *found* and what *spec* needs."""
    spec = fit_to_kernel(spec)
    differences = [
        f"{field} {getattr(found, field)!r} instead of {getattr(spec, field)!r}"
        for field in ("type", "key_size", "value_size", "max_entries")
        if getattr(found, field) != getattr(spec, field)
    ]
    extra = found.info().map_extra  # the hashes of a bloom filter (none said: the kernel's 5), the address of an arena
    if spec.map_extra and extra != spec.map_extra:
        differences.append(f"map_extra {extra:#x} instead of {spec.map_extra:#x}")
    has, needs = _kept_flags(found.type, found.flags), _kept_flags(spec.type, spec.flags)
    if has != needs:
        differences.append(f"flags {has!r} instead of {needs!r}")
    if differences:
        raise SpecError(f"{what} does not fit map {spec.name!r}: it has {', '.join(differences)}")


def _kept_flags(type_: MapType, flags: int) -> MapFlags:
    """Those of *flags* that say what a map is; the others are about a descriptor, or set by the kernel itself."""
    kept = MapFlags(flags) & ~(MapFlags.RDONLY | MapFlags.WRONLY | MapFlags.NUMA_NODE | MapFlags.TOKEN_FD)
    if type_ in {MapType.DEVMAP, MapType.DEVMAP_HASH}:
        kept &= ~MapFlags.RDONLY_PROG  # the kernel adds it (kernel/bpf/devmap.c)
    return kept
