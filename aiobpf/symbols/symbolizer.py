"""Addresses to functions, for the kernel and for processes, also for those that ended meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, final

import anyio
from anyio.lowlevel import RunVar

from aiobpf.errors import BpfError, ClosedError, KernelError
from aiobpf.kernel.worker import in_worker
from aiobpf.symbols.debug_files import files_by_build_id
from aiobpf.symbols.demangle import can_demangle, demangle
from aiobpf.symbols.frame import Frame, calls
from aiobpf.symbols.image_symbols import ImageSymbols
from aiobpf.symbols.kernel_symbols import KernelSymbols
from aiobpf.symbols.process import Process, executable_of, open_mapped, own_vdso, start_time
from aiobpf.symbols.stack_ids import BuildIdPlace, StackMap, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self, TypeVar

    from aiobpf.symbols.mappings import Mapping
    from aiobpf.symbols.process import Key

    T = TypeVar("T")

MAX_PROCESSES: Final = 1024
MAX_FILES: Final = 256

# One at a time: those who wait must not hold the threads that links are closed in.
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("aiobpf symbols")


def _one_at_a_time() -> anyio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(1)
        _limiter.set(limiter)
        return limiter


@final
class Symbolizer:
    """``async with Symbolizer() as symbolizer: frames = await symbolizer.user(pid, addresses)``.

    A process's mappings and the symbols of its files are read when it is first seen, by `capture` or with its first
    stack; from then on its stacks are resolved whether it lives or not. So `capture` it when an event names it, and
    resolve whenever there is time. A process that has mapped more since, or that began another program (exec), is read
    again when an address is not found, as long as it lives.

    It keeps the last *processes* processes and *files* files; a file is open until a function of it is asked for, then
    it is the table of its functions (24 bytes each, and their names). One that was dropped for others is read again,
    if it is still to be had. Work is done in worker threads, one at a time.
    Nothing of a stack is ever missing: a frame that cannot be resolved has its address and says why. *demangled*: C++
    and Rust names as their source has them, where the extra "demangle" is installed.
    """

    def __init__(
        self, *, processes: int = MAX_PROCESSES, files: int = MAX_FILES, demangled: bool | None = None
    ) -> None:
        self._processes: OrderedDict[int, Process] = OrderedDict()
        self._before: dict[int, Process] = {}
        """What a process in *_processes* was when it was read the time before: its program before exec, libraries that
        it has closed. Stacks come late."""
        self._files: OrderedDict[Key, ImageSymbols] = OrderedDict()
        self._by_build_id: OrderedDict[bytes, ImageSymbols] = OrderedDict()
        self._max_processes = processes
        self._max_files = files
        self._demangled = can_demangle() if demangled is None else demangled
        self._kernel = KernelSymbols()
        self._vdso: ImageSymbols | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Forget everything; idempotent. What is being worked on comes to its end first."""
        self._is_closed = True
        await in_worker(self._forget, limiter=_one_at_a_time(), shield=True)

    def _forget(self) -> None:
        with self._lock:
            for image in (*self._files.values(), *self._by_build_id.values()):
                image.close()
            self._processes.clear()
            self._before.clear()
            self._files.clear()
            self._by_build_id.clear()

    # --- processes ----------------------------------------------------------------------------------------------------

    async def capture(self, pid: int) -> bool:
        """Read what process *pid* has mapped, unless that is known of this very process; whether it is known now.

        False where it is gone already, or may not be looked into.
        """
        return await self._in_worker(lambda: self._known(pid) is not None)

    async def user(self, pid: int, addresses: Iterable[int | BuildIdPlace]) -> list[Frame]:
        """The frames of a user stack of process *pid*, the innermost first as *addresses* are.

        What `parse_addresses` or `parse_build_ids` make of the bytes that bpf_get_stack wrote to an event.
        """
        found = list(addresses)
        return await self._in_worker(lambda: self._places(pid, found))

    async def kernel(self, addresses: Iterable[int]) -> list[Frame]:
        """The frames of a kernel stack. KernelError (EPERM) where the kernel hides its addresses."""
        found = list(addresses)
        return await self._in_worker(lambda: self._named(self._kernel.frames(found, calls(found))))

    async def stack(self, map: StackMap, stack_id: int, *, pid: int | None = None) -> list[Frame]:  # noqa: A002
        """The frames of a stack in a stack trace map: of process *pid*, or of the kernel where that is None.

        *stack_id* is what bpf_get_stackid gave. A map of build ids (BPF_F_STACK_BUILD_ID) needs no process that lives:
        files are found by their ids, among those seen and under /usr/lib/debug. Raises as `stack_of` says.
        """
        places = stack_of(map, stack_id)
        if pid is None:
            return await self.kernel([place for place in places if isinstance(place, int)])
        return await self._in_worker(lambda: self._places(pid, places))

    async def _in_worker(self, function: Callable[[], T]) -> T:
        if self._is_closed:
            raise ClosedError("the symbolizer is closed")

        def locked() -> T:
            with self._lock:
                return function()

        return await in_worker(locked, limiter=_one_at_a_time())

    # --- in the worker ------------------------------------------------------------------------------------------------

    def _known(self, pid: int, *, anew: bool = False) -> Process | None:
        known = self._processes.get(pid)
        started, executable = start_time(pid), executable_of(pid)
        is_same = known is not None and started in {None, known.started}
        # One that has ended and is not waited for yet still has its number, and nothing else.
        has_ended = started is None or executable is None
        if known is not None and is_same and (has_ended or (not anew and executable == known.executable)):
            self._processes.move_to_end(pid)
            return known
        if has_ended:
            return known if is_same else None
        try:
            found = Process(pid, self._keep)
        except KernelError:
            return known if is_same else None
        if known is not None and is_same and found.is_empty:  # it ended while it was looked at
            return known
        if known is None or not is_same:
            self._before.pop(pid, None)
        elif not found.maps_what(known):
            self._before[pid] = known
        self._processes[pid] = found
        self._processes.move_to_end(pid)
        while len(self._processes) > self._max_processes:
            oldest, _ = self._processes.popitem(last=False)
            self._before.pop(oldest, None)
        return found

    def _for(self, pid: int, lookups: Sequence[int]) -> Process | None:
        """The process, read again where it has not all of *lookups* and that may be because it changed."""
        process = self._known(pid)
        if process is None or not process.is_outdated(lookups):
            return process
        process = self._known(pid, anew=True) or process
        process.missed(lookups)
        return process

    def _frame(self, process: Process | None, pid: int, address: int, lookup: int) -> Frame:
        if process is None:
            return Frame(address, problem=f"process {pid} is gone, and was not captured")
        before = self._before.get(pid)
        if before is not None and not process.has(lookup) and before.has(lookup):
            process = before
        return process.frame(address, lookup, self._image, self._own_vdso)

    def _places(self, pid: int, places: Sequence[int | BuildIdPlace]) -> list[Frame]:
        lookups = [place - (index > 0) for index, place in enumerate(places) if isinstance(place, int)]
        process = self._for(pid, lookups)
        frames = []
        for index, place in enumerate(places):
            if isinstance(place, int):
                frames.append(self._frame(process, pid, place, place - (index > 0)))
                continue
            image = self._file_of(place.build_id)
            if image is None:
                problem = "no file of this build id was seen, and no debug file is installed"
                frames.append(Frame(0, file_offset=place.offset, build_id=place.build_id, problem=problem))
                continue
            lookup = place.offset - (index > 0)
            found = image.at(lookup)
            name, offset = found or ("", lookup - place.offset)
            shift = offset + place.offset - lookup
            problem = "" if found else image.problem or "no symbol of the file reaches this address"
            frames.append(Frame(0, name, shift if found else 0, image.path, place.offset, place.build_id, problem))
        return self._named(frames)

    def _named(self, frames: list[Frame]) -> list[Frame]:
        if not self._demangled:
            return frames
        return [_demangled(frame) for frame in frames]

    def _keep(self, mapping: Mapping, pid: int) -> Key | None:
        """Open a mapped file, unless it is known, and tell what tells it from others; None where it cannot be had."""
        opened = open_mapped(mapping, pid)
        if opened is None:
            return None
        file, key = opened
        if key in self._files:
            file.close()
        else:
            self._files[key] = ImageSymbols(file, mapping.path)
        self._files.move_to_end(key)
        while len(self._files) > self._max_files:
            _, oldest = self._files.popitem(last=False)
            oldest.close()
        return key

    def _image(self, mapping: Mapping, pid: int, key: Key | None) -> ImageSymbols:
        """The symbols of a file that was kept; opened again if it was dropped since, and is still the same."""
        if key is None:
            return ImageSymbols(None, mapping.path)
        if key not in self._files and self._keep(mapping, pid) != key:
            return ImageSymbols(None, mapping.path, f"it was dropped for others (files={self._max_files}), and is gone")
        self._files.move_to_end(key)
        return self._files[key]

    def _file_of(self, build_id: bytes) -> ImageSymbols | None:
        """A file of that id that was seen, or its debug file."""
        if build_id in self._by_build_id:
            return self._by_build_id[build_id]
        wanted = build_id.rstrip(b"\0")
        found = next((each for each in self._files.values() if each.build_id.rstrip(b"\0") == wanted), None)
        for path in files_by_build_id(wanted):
            if found is None:
                with contextlib.suppress(OSError):
                    found = ImageSymbols(open(path, "rb"), path)  # noqa: SIM115 - it owns the file
        if found is not None:  # one that was not found may be seen later
            self._by_build_id[build_id] = found
            while len(self._by_build_id) > self._max_files:
                _, oldest = self._by_build_id.popitem(last=False)
                if oldest not in self._files.values():
                    oldest.close()
        return found

    def _own_vdso(self) -> ImageSymbols | None:
        if self._vdso is None:
            self._vdso = own_vdso()
        return self._vdso


def _demangled(frame: Frame) -> Frame:
    try:
        name = demangle(frame.symbol)
    except (BpfError, ImportError):
        return frame
    if name == frame.symbol:
        return frame
    return Frame(frame.address, name, frame.offset, frame.binary, frame.file_offset, frame.build_id, frame.problem)
