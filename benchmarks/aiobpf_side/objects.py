"""Object files: to a spec, and to a loaded collection."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import aiobpf
from aiobpf.asm import Instructions
from benchmarks.stopwatch import Stopwatch

if TYPE_CHECKING:
    from benchmarks.commands import Arguments


async def open_object(arguments: Arguments) -> dict[str, object]:
    """`read_spec`, *repeat* times."""
    path, repeat = arguments.text("path"), arguments.number("repeat")
    programs = 0
    took = Stopwatch()
    for _ in range(repeat):
        programs += len(aiobpf.read_spec(path).programs)
    return took.stop().answer(repeat, programs // repeat)


async def load_object(arguments: Arguments) -> dict[str, object]:
    """From the file to a loaded collection, the kernel's BTF not known yet; closing is not timed."""
    path = arguments.text("path")
    took = Stopwatch()
    collection = await aiobpf.Collection.load(path, btf_cache=aiobpf.KernelBtfCache())
    took.stop()
    programs = len(collection.programs)
    await collection.aclose()
    return took.answer(1, programs)


async def footprint(arguments: Arguments) -> dict[str, object]:
    """Bytes that the instructions of a spec hold: what comes free when they go and the rest of the spec stays."""
    path = arguments.text("path")
    aiobpf.read_spec(path)  # what is made once a process is made now
    gc.collect()
    tracemalloc.start()
    try:
        spec = aiobpf.read_spec(path)
        count = sum(len(program.instructions) for program in spec.programs.values())
        gc.collect()
        full = tracemalloc.get_traced_memory()[0]
        for program in spec.programs.values():
            program.instructions = Instructions()
        gc.collect()
        bare = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return {"bytes": full - bare, "count": count}
