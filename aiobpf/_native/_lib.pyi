# The C unit's types, so that cffi's Any does not spread. Each function repeats its declaration in the header named
# above it; what it does stands there. A pointer to bytes takes a cdata or, where C only reads, a bytes object.
from collections.abc import Callable
from typing import Literal, SupportsInt, final, overload

from typing_extensions import Buffer

class CData: ...

@final
class Null(CData): ...

@final
class Number(CData, SupportsInt):
    def __int__(self) -> int: ...

@final
class IntArray(CData):
    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...
    def __len__(self) -> int: ...
    def __add__(self, elements: int, /) -> CData: ...

@final
class Pointers(CData):
    def __getitem__(self, index: int, /) -> CData: ...
    def __setitem__(self, index: int, value: CData, /) -> None: ...

@final
class View:
    # cffi's buffer object: a window on C memory that keeps it alive.
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> bytes: ...
    @overload
    def __getitem__(self, index: slice, /) -> bytes: ...
    def __setitem__(self, index: int | slice, value: Buffer, /) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class RingDrained(CData):
    backlog: int
    bytes: int
    room: int
    records: int
    discarded: int
    longer: int
    odd_length: int
    overwritten: int
    busy: int
    more: int
    odd: int

@final
class RingRun(CData):
    backlog: int
    start: int
    stride: int
    length: int
    records: int
    discarded: int
    busy: int

@final
class PerfDrained(CData):
    backlog: int
    bytes: int
    room: int
    lost: int
    records: int
    other: int
    odd_length: int
    more: int
    odd: int

@final
class BtfStrings(CData):
    data: CData
    start: int
    first: int
    length: int

@final
class BtfStringsArray(CData):
    def __getitem__(self, index: int, /) -> BtfStrings: ...

@final
class BtfNamedArray(CData): ...

@final
class BtfNames(CData):
    members: BtfNamedArray
    heads: IntArray
    next: IntArray
    count: int
    mask: int

@final
class BtfNamesArray(CData):
    def __getitem__(self, index: int, /) -> BtfNames: ...

@final
class BtfView(CData):
    data: CData
    types: int
    layout: int
    types_length: int
    layout_kinds: int
    is_swapped: int
    names_end: int
    strings: BtfStringsArray
    string_count: int
    type_count: int
    marks: IntArray
    names: BtfNamesArray

@final
class BtfCounts(CData):
    functions: int
    others: int
    where: int

@final
class BtfCopy(CData):
    new_ids: IntArray
    taken: IntArray
    count: int
    uses: int

@final
class FFI:
    NULL: Null
    @overload
    def new(self, cdecl: Literal["struct ring_drained *"], init: None = None, /) -> RingDrained: ...
    @overload
    def new(self, cdecl: Literal["struct ring_run *"], init: None = None, /) -> RingRun: ...
    @overload
    def new(self, cdecl: Literal["struct perf_drained *"], init: None = None, /) -> PerfDrained: ...
    @overload
    def new(self, cdecl: Literal["struct btf_view *"], init: None = None, /) -> BtfView: ...
    @overload
    def new(self, cdecl: Literal["struct btf_counts *"], init: None = None, /) -> BtfCounts: ...
    @overload
    def new(self, cdecl: Literal["struct btf_copy *"], init: None = None, /) -> BtfCopy: ...
    @overload
    def new(self, cdecl: Literal["void **", "void *[]"], init: int | list[CData] | None = None, /) -> Pointers: ...
    @overload
    def new(self, cdecl: Literal["struct btf_strings[]"], init: int, /) -> BtfStringsArray: ...
    @overload
    def new(self, cdecl: Literal["struct btf_named[]"], init: int, /) -> BtfNamedArray: ...
    @overload
    def new(
        self,
        cdecl: Literal["int *", "uint32_t *", "uint64_t *", "uint8_t[]", "uint32_t[]", "uint64_t[]"],
        init: int | list[int] | bytes | None = None,
        /,
    ) -> IntArray: ...
    def buffer(self, cdata: CData, size: int = -1, /) -> View: ...
    @overload
    def from_buffer(self, python_buffer: Buffer, /, *, require_writable: bool = False) -> CData: ...
    @overload
    def from_buffer(self, cdecl: Literal["struct btf_named[]"], python_buffer: Buffer, /) -> BtfNamedArray: ...
    @overload
    def from_buffer(
        self,
        cdecl: Literal["uint8_t[]", "uint32_t[]", "uint64_t[]"],
        python_buffer: Buffer,
        /,
        require_writable: bool = False,
    ) -> IntArray: ...
    def cast(self, cdecl: Literal["uintptr_t"], source: CData, /) -> Number: ...
    def release(self, cdata: CData, /) -> None: ...
    def gc(self, cdata: CData, destructor: Callable[[CData], object], size: int = 0) -> CData: ...
    def addressof(self, cdata: CData, index: int, /) -> CData: ...
    def new_allocator(
        self, alloc: None = None, free: None = None, should_clear_after_alloc: bool = True
    ) -> Callable[[Literal["uint8_t[]"], int], IntArray]: ...
    def unpack(self, cdata: IntArray, length: int) -> list[int]: ...
    def sizeof(self, cdecl: str | CData, /) -> int: ...

@final
class Lib:
    # syscalls.h
    @staticmethod
    def sys_bpf(command: int, attr: CData, size: int, /) -> int: ...
    @staticmethod
    def sys_bpf_fd(command: int, attr: CData, size: int, owner: IntArray, /) -> int: ...
    @staticmethod
    def sys_perf_event_open(attr: CData, pid: int, cpu: int, group: int, flags: int, owner: IntArray, /) -> int: ...
    @staticmethod
    def sys_ioctl(fd: int, request: int, argument: int, /) -> int: ...
    @staticmethod
    def sys_ioctl_pointer(fd: int, request: int, argument: CData | bytes, /) -> int: ...
    @staticmethod
    def sys_openat(directory: int, path: bytes, flags: int, owner: IntArray, /) -> int: ...
    @staticmethod
    def sys_fsopen(name: bytes, flags: int, owner: IntArray, /) -> int: ...
    @staticmethod
    def sys_fsconfig(fd: int, command: int, key: Null | bytes, value: Null | bytes, aux: int, /) -> int: ...
    @staticmethod
    def sys_fsmount(fd: int, flags: int, attributes: int, owner: IntArray, /) -> int: ...
    @staticmethod
    def sys_membarrier(command: int, /) -> int: ...
    @staticmethod
    def sys_timerfd_create(owner: IntArray, /) -> int: ...
    @staticmethod
    def sys_timerfd_settime(fd: int, nanoseconds: int, /) -> int: ...
    @staticmethod
    def filesystem_type(path: bytes, /) -> int: ...
    @staticmethod
    def fd_take(owner: IntArray, /) -> int: ...
    @staticmethod
    def fd_close(owner: IntArray, /) -> int: ...
    @staticmethod
    def fd_move(source: IntArray, target: IntArray, /) -> None: ...
    @staticmethod
    def fd_duplicate(fd: int, owner: IntArray, /) -> int: ...

    # maps.h
    @staticmethod
    def map_lookup(owner: IntArray, key: CData | bytes, value: CData, flags: int, /) -> int: ...
    @staticmethod
    def map_update(owner: IntArray, key: CData | bytes, value: CData | bytes, flags: int, /) -> int: ...
    @staticmethod
    def map_delete(owner: IntArray, key: CData | bytes, /) -> int: ...
    @staticmethod
    def map_take(owner: IntArray, key: CData | bytes, value: CData, flags: int, /) -> int: ...
    @staticmethod
    def map_next_key(owner: IntArray, key: CData | bytes, next_key: CData, /) -> int: ...
    @staticmethod
    def map_batch(
        owner: IntArray,
        command: int,
        start: CData | bytes,
        end: CData,
        keys: CData,
        values: CData,
        count: IntArray,
        flags: int,
        /,
    ) -> int: ...
    @staticmethod
    def map_walk(
        owner: IntArray,
        start: CData | bytes,
        keys: CData,
        values: CData,
        key_size: int,
        value_size: int,
        flags: int,
        count: IntArray,
        /,
    ) -> int: ...
    @staticmethod
    def map_each(
        owner: IntArray,
        command: int,
        keys: CData,
        values: CData,
        key_size: int,
        value_size: int,
        flags: int,
        count: IntArray,
        /,
    ) -> int: ...

    # ring.h
    @staticmethod
    def ring_drain_fixed(
        consumer: CData,
        producer: CData,
        page: int,
        size: int,
        stride: int,
        out: CData,
        out_size: int,
        limit: int,
        drained: RingDrained,
        /,
    ) -> int: ...
    @staticmethod
    def ring_drain(
        consumer: CData,
        producer: CData,
        page: int,
        size: int,
        out: CData,
        out_size: int,
        offsets: IntArray,
        lengths: IntArray,
        limit: int,
        drained: RingDrained,
        /,
    ) -> int: ...
    @staticmethod
    def ring_drain_overwritten(
        consumer: CData,
        producer: CData,
        page: int,
        size: int,
        out: CData,
        out_size: int,
        offsets: IntArray,
        lengths: IntArray,
        limit: int,
        drained: RingDrained,
        /,
    ) -> int: ...
    @staticmethod
    def ring_run(
        consumer: CData, producer: CData, page: int, size: int, limit: int, room: int, run: RingRun, /
    ) -> int: ...
    @staticmethod
    def ring_run_copy(records: CData, stride: int, count: int, out: CData, row: int, /) -> None: ...
    @staticmethod
    def ring_backlog(consumer: CData, producer: CData, /) -> int: ...

    # user_ring.h
    @staticmethod
    def user_ring_reserve(
        consumer: CData, producer: CData, page: int, size: int, length: int, offset: IntArray, /
    ) -> int: ...
    @staticmethod
    def user_ring_commit(producer: CData, page: int, offset: int, discard: int, /) -> None: ...
    @staticmethod
    def user_ring_write(
        consumer: CData, producer: CData, page: int, size: int, data: CData | bytes, length: int, /
    ) -> int: ...
    @staticmethod
    def user_ring_used(consumer: CData, producer: CData, /) -> int: ...

    # ring.h: atomics
    @staticmethod
    def load_acquire64(address: CData, /) -> int: ...
    @staticmethod
    def store_release64(address: CData, value: int, /) -> None: ...
    @staticmethod
    def fence() -> None: ...

    # perf.h
    @staticmethod
    def perf_drain(
        mapped: CData,
        page: int,
        size: int,
        stride: int,
        out: CData,
        out_size: int,
        offsets: IntArray | Null,
        lengths: IntArray | Null,
        times: IntArray | Null,
        limit: int,
        drained: PerfDrained,
        /,
    ) -> int: ...
    @staticmethod
    def perf_backlog(mapped: CData, /) -> int: ...
    @staticmethod
    def perf_pending(mapped: Pointers, count: int, pending: IntArray, /) -> int: ...

    # memory.h
    @staticmethod
    def memory_map(fd: int, offset: int, length: int, writable: int, address: Pointers, /) -> int: ...
    @staticmethod
    def memory_map_at(fd: int, wanted: int, length: int, address: Pointers, /) -> int: ...
    @staticmethod
    def memory_copy(buffer: CData, address: int, length: int, to_address: int, /) -> int: ...
    @staticmethod
    def memory_unmap(address: CData, length: int, /) -> int: ...
    @staticmethod
    def memory_overlay(address: CData, length: int, fd: int, /) -> int: ...

    # atomics.h
    @staticmethod
    def atomic_apply(
        address: CData, size: int, operation: int, operand: int, expected: int, old: IntArray, /
    ) -> int: ...

    # btf_index.h
    @staticmethod
    def btf_index(
        view: BtfView, marks: IntArray, others: BtfNamedArray, capacity: int, counts: BtfCounts, /
    ) -> int: ...
    @staticmethod
    def btf_offset(view: BtfView, index: int, /) -> int: ...
    @staticmethod
    def btf_collect_functions(view: BtfView, /) -> None: ...
    @staticmethod
    def btf_index_names(view: BtfView, of_functions: int, /) -> None: ...
    @staticmethod
    def btf_find(
        view: BtfView,
        of_functions: int,
        name: bytes,
        length: int,
        by_essential_name: int,
        found: IntArray,
        capacity: int,
        /,
    ) -> int: ...
    @staticmethod
    def btf_find_kind(view: BtfView, kind: int, found: IntArray, capacity: int, /) -> int: ...
    @staticmethod
    def btf_find_prefix(
        view: BtfView, kind: int, prefix: bytes, length: int, found: IntArray, capacity: int, /
    ) -> int: ...

    # btf_copy.h
    @staticmethod
    def btf_take(
        view: BtfView, copy: BtfCopy, wanted: int, next_id: int, tags: IntArray | Null, tag_count: int, /
    ) -> int: ...
    @staticmethod
    def btf_untake(copy: BtfCopy, count: int, /) -> None: ...
    @staticmethod
    def btf_put(view: BtfView, copy: BtfCopy, first: int, end: int, out: IntArray | Null, /) -> int: ...

ffi: FFI
lib: Lib
