"""One ``aiobpf run`` from the source to the totals."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field

import aiobpf
from aiobpf.btf import codec
from aiobpf.cli.attaching import attach_what_can
from aiobpf.cli.choices import choose_maps, choose_programs
from aiobpf.cli.commands import INTERRUPTED, OK, leave_stdout
from aiobpf.cli.exec_monitor import ExecFormat
from aiobpf.cli.formats import EventFormat
from aiobpf.cli.losses import count_losses
from aiobpf.cli.report import leaves, warn
from aiobpf.cli.settings import apply_settings
from aiobpf.cli.source import read_source
from aiobpf.cli.tally import Count, Tally
from aiobpf.cli.views import JsonLines, PlainLines
from aiobpf.errors import (
    CodecError,
    CoreRelocationError,
    NotSupportedError,
    UnresolvedSymbolError,
    VerifierError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.btf import Type
    from aiobpf.cli.formats import Format
    from aiobpf.cli.run import RunOptions
    from aiobpf.cli.views import View
    from aiobpf.collection import Attached, Collection
    from aiobpf.spec import CollectionSpec
    from aiobpf.stream import PerfBuffer, RingBuffer

    Stream = RingBuffer[Any] | PerfBuffer[Any]


def run_session(options: RunOptions) -> int:
    """Everything up to the first system call, then the run itself; the exit status."""
    spec = read_source(options.source)
    apply_settings(spec, options.settings)
    programs = choose_programs(spec, options.programs)
    chosen = choose_maps(spec, options.maps)
    untyped = [name for name, type_ in chosen.items() if type_ is None]
    if untyped and not options.maps:
        names = ", ".join(untyped)
        warn(f"the object does not say what {names} carries: shown in hex; --map NAME:TYPE says it")
    view = make_view(options, {name: format_of(options, type_) for name, type_ in chosen.items()})
    run = Run(spec, programs, chosen, view, options.duration_s, options.pin_path, options.verbose)
    try:
        anyio.run(run.main)
    except BaseExceptionGroup as group:
        # The tasks of a run fail one at a time, but anyio wraps that one; a reader that left is no failure.
        errors = [error for error in leaves(group) if not isinstance(error, BrokenPipeError)]
        if not errors:
            leave_stdout()
            return OK
        raise (errors[0] if len(errors) == 1 else BaseExceptionGroup("several errors", errors)) from None
    return OK if run.has_begun else INTERRUPTED


def format_of(options: RunOptions, type_: Type | None) -> Format:
    if options.source is None and not any(choice.type for choice in options.maps):
        return ExecFormat()
    return EventFormat(None if type_ is None else codec(type_).jsonable)


def make_view(options: RunOptions, formats: Mapping[str, Format]) -> View:
    if options.as_json:
        return JsonLines(formats)
    if options.is_plain or os.environ.get("TERM", "dumb") == "dumb":
        return PlainLines(formats)
    try:
        from aiobpf.cli.table import LiveTable
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "rich":
            raise
        warn("the live table needs rich (pip install 'aiobpf[cli]'); plain lines instead")
        return PlainLines(formats)
    return LiveTable(Path(options.source).name if options.source else "exec monitor", formats)


@define(eq=False)
class Run:
    """Load, attach, show, detach, count: one after the other, whatever ends it."""

    spec: CollectionSpec
    programs: Sequence[str] | None
    chosen: Mapping[str, Type | None]
    view: View
    duration_s: float | None = None
    pin_path: str | None = None
    verbose: bool = False
    has_begun: bool = False
    """Whether events could be shown: everything was loaded and attached before the end came."""
    _over: anyio.Event = field(factory=anyio.Event)

    async def main(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_on_signal, tasks.cancel_scope)
            await self._load_and_show()
            tasks.cancel_scope.cancel()

    async def _end_on_signal(self, scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if self.has_begun and not self._over.is_set():
                    self._over.set()
                else:  # nothing to show yet, or the second time: without waiting for what is still to be shown
                    scope.cancel()

    async def _load_and_show(self) -> None:
        async with await self._load() as coll, AsyncExitStack() as stack:
            streams: dict[str, Stream] = {}
            for name, type_ in self.chosen.items():
                stream = coll.stream(name, type=type_ or bytes)
                await stack.enter_async_context(stream)
                streams[name] = stream
            async with await attach_what_can(coll, verbose=self.verbose) as attached:
                await self._show(coll, streams, attached)

    async def _load(self) -> Collection:
        try:
            return await aiobpf.load(self.spec, programs=self.programs, pin_path=self.pin_path)
        except (CoreRelocationError, NotSupportedError, UnresolvedSymbolError, VerifierError) as error:
            fits = self.spec.byte_order == sys.byteorder
            if fits and self.programs is None and len(self.spec.programs) > 1:
                names = ", ".join(self.spec.programs)
                error.add_note(f"one program refused refuses all; --program NAME loads only those named, of {names}")
            raise

    async def _show(self, coll: Collection, streams: Mapping[str, Stream], attached: Attached) -> None:
        """Until the time is over, a signal or a reader that went away."""
        tally = Tally({name: Count() for name in streams})
        if not streams:
            warn("no ring buffer or perf event array to show; the programs stay attached until the end")
        self.has_begun = True
        self.view.open()
        try:
            async with anyio.create_task_group() as tasks:
                if self.view.refresh_s is not None:
                    tasks.start_soon(self._refresh, self.view.refresh_s, coll, streams, tally)
                async with anyio.create_task_group() as readers:
                    for name, stream in streams.items():
                        readers.start_soon(self._follow, name, stream, tally)
                    with anyio.move_on_after(self.duration_s):
                        await self._over.wait()
                    self._over.set()
                    # No new events from here on; those that are there still come.
                    await attached.aclose()
                    for stream in streams.values():
                        stream.finish()
                tasks.cancel_scope.cancel()
        finally:
            count_losses(coll, streams, tally)
            self.view.close(tally)
        print(f"aiobpf: {tally.summary()}", file=sys.stderr)

    async def _follow(self, name: str, stream: Stream, tally: Tally) -> None:
        try:
            async for batch in stream.batches():
                tally.counts[name].events += len(batch)
                self.view.show(name, batch.records())
        except CodecError as error:
            error.add_note(f"--map {name}:TYPE names another type, --map {name}:bytes shows the records as they are")
            raise

    async def _refresh(self, every_s: float, coll: Collection, streams: Mapping[str, Stream], tally: Tally) -> None:
        while True:
            count_losses(coll, streams, tally)
            self.view.refresh(tally)
            await anyio.sleep(every_s)
