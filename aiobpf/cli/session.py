"""One ``aiobpf run`` from the source to the totals."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.btf import Type
    from aiobpf.cli.formats import Format
    from aiobpf.cli.run import RunOptions
    from aiobpf.cli.views import View
    from aiobpf.collection import Collection
    from aiobpf.spec import CollectionSpec
    from aiobpf.stream import PerfBuffer, RingBuffer


def run_session(options: RunOptions) -> int:
    """Everything up to the first system call, then the run itself; the exit status."""
    spec = read_source(options.source)
    apply_settings(spec, options.settings)
    programs = choose_programs(spec, options.programs)
    chosen = choose_maps(spec, options.maps)
    view = make_view(options, {name: format_of(options, type_) for name, type_ in chosen.items()})
    run = Run(spec, programs, chosen, view, options.duration_s, options.verbose)
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
    if options.source is None:
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
    verbose: bool = False
    has_begun: bool = False
    """Whether events could be shown: everything was loaded and attached before the end came."""
    _streams: dict[str, RingBuffer | PerfBuffer] = field(factory=dict)

    async def main(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end_on_signal, tasks.cancel_scope)
            await self.load_and_show()
            tasks.cancel_scope.cancel()

    async def load_and_show(self) -> None:
        async with aiobpf.load(self.spec, programs=self.programs) as coll, AsyncExitStack() as stack:
            for name, type_ in self.chosen.items():
                self._streams[name] = await stack.enter_async_context(coll.stream(name, type=type_))
            async with await attach_what_can(coll, verbose=self.verbose):
                await self.show(coll)

    async def show(self, coll: Collection) -> None:
        """Until the time is over, a signal or a reader that went away."""
        tally = Tally({name: Count() for name in self.chosen})
        if not self.chosen:
            warn("no ring buffer or perf event array to show; the programs stay attached until ctrl-C")
        self.has_begun = True
        self.view.open()
        try:
            with anyio.move_on_after(self.duration_s):
                async with anyio.create_task_group() as tasks:
                    for name in self._streams:
                        tasks.start_soon(self._follow, name, tally)
                    if self.view.refresh_s is not None:
                        tasks.start_soon(self._refresh, coll, tally)
                    if not self._streams:
                        tasks.start_soon(anyio.sleep_forever)
        finally:
            count_losses(coll, self._streams, tally)
            self.view.close(tally)
        print(f"aiobpf: {tally.summary()}", file=sys.stderr)

    async def _follow(self, name: str, tally: Tally) -> None:
        async for batch in self._streams[name].batches():
            tally.counts[name].events += len(batch)
            self.view.show(name, batch.records())

    async def _refresh(self, coll: Collection, tally: Tally) -> None:
        while True:
            count_losses(coll, self._streams, tally)
            self.view.refresh(tally)
            await anyio.sleep(self.view.refresh_s or 1)


async def end_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
