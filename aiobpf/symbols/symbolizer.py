"""Addresses to functions, for the kernel and for processes, also for those that ended meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, final

from aiobpf.errors import BpfError, ClosedError, KernelError
from aiobpf.kernel.worker import in_worker
from aiobpf.symbols.debug_files import debug_file_by_build_id
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

    T = TypeVar("T")

MAX_PROCESSES: Final = 1024
MAX_FILES: Final = 256


@final
class Symbolizer:
    """``async with Symbolizer() as symbolizer: frames = await symbolizer.user(pid, addresses)``.

    A process's mappings and the symbols of its files are read when it is first seen, by `capture` or with its first
    stack; from then on its stacks are resolved whether it lives or not. So `capture` it when an event names it, and
    resolve whenever there is time. A process that has mapped more since, or that began another program (exec), is read
    again when an address is not found, as long as it lives.

    It keeps the last *processes* processes and *files* files; a file is open until a function of it is asked for, then
    it is the table of its functions (24 bytes each, and their names). Work is done in worker threads, one at a time.
    Nothing of a stack is ever missing: a frame that cannot be resolved has its address and says why. *demangled*: C++
    and Rust names as their source has them, where the extra "demangle" is installed.
    """

    def __init__(
        self, *, processes: int = MAX_PROCESSES, files: int = MAX_FILES, demangled: bool | None = None
    ) -> None:
        self._processes: OrderedDict[int, Process] = OrderedDict()
        self._files: OrderedDict[object, ImageSymbols] = OrderedDict()
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
        """Forget everything; idempotent."""
        self._is_closed = True
        self._processes.clear()
        self._files.clear()
        self._by_build_id.clear()

    # --- processes ----------------------------------------------------------------------------------------------------

    async def capture(self, pid: int) -> bool:
        """Read what process *pid* has mapped, unless that is known of this very process; whether it is known now.

        False where it is gone already, or may not be looked into.
        """
        return await self._in_worker(lambda: self._known(pid) is not None)

    async def user(self, pid: int, addresses: Iterable[int]) -> list[Frame]:
        """The frames of a user stack of process *pid*, the innermost first as *addresses* are."""
        found = list(addresses)
        return await self._in_worker(lambda: self._user(pid, found))

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

        return await in_worker(locked)

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
            found = Process(pid, self._image)
        except KernelError:
            return known if is_same else None
        if known is not None and is_same and found.is_empty:  # it ended while it was looked at
            return known
        self._processes[pid] = found
        self._processes.move_to_end(pid)
        while len(self._processes) > self._max_processes:
            self._processes.popitem(last=False)
        return found

    def _user(self, pid: int, addresses: Sequence[int]) -> list[Frame]:
        lookups = calls(addresses)
        process = self._known(pid)
        if process is not None and not all(process.has(address) for address in lookups):
            process = self._known(pid, anew=True) or process
        if process is None:
            return [Frame(address, problem=f"process {pid} is gone, and was not captured") for address in addresses]
        frames = [
            process.frame(address, lookup, self._own_vdso) for address, lookup in zip(addresses, lookups, strict=True)
        ]
        return self._named(frames)

    def _places(self, pid: int, places: Sequence[int | BuildIdPlace]) -> list[Frame]:
        self._known(pid)
        frames = []
        for index, place in enumerate(places):
            if isinstance(place, int):
                frames += self._user(pid, [place])
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

    def _image(self, mapping: Mapping, pid: int) -> ImageSymbols:
        """The symbols of a mapped file, by what tells it from others; read once."""
        opened = open_mapped(mapping, pid)
        if opened is None:
            return ImageSymbols(None, mapping.path)
        file, key = opened
        known = self._files.get(key)
        if known is None:
            known = self._files[key] = ImageSymbols(file, mapping.path)
        else:
            file.close()
        self._files.move_to_end(key)
        while len(self._files) > self._max_files:
            _, oldest = self._files.popitem(last=False)
            oldest.load()  # processes that are kept may still ask it, and no more files than these are open
        return known

    def _file_of(self, build_id: bytes) -> ImageSymbols | None:
        """A file of that id that was seen, or its debug file."""
        if build_id in self._by_build_id:
            return self._by_build_id[build_id]
        wanted = build_id.rstrip(b"\0")
        found = next((each for each in self._files.values() if each.build_id.rstrip(b"\0") == wanted), None)
        path = debug_file_by_build_id(wanted)
        if found is None and path is not None:
            with contextlib.suppress(OSError):
                found = ImageSymbols(open(path, "rb"), path)  # noqa: SIM115 - it owns the file
        if found is not None:  # one that was not found may be seen later
            self._by_build_id[build_id] = found
            while len(self._by_build_id) > self._max_files:
                self._by_build_id.popitem(last=False)
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
