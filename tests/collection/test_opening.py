"""`aiobpf.load`: what it needs is imported where it works, and names come when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import aiobpf
from aiobpf.btf import Btf
from aiobpf.kernel import shared_btf_cache

MONITOR = Path(aiobpf.__file__).parent / "programs" / "exec_monitor.bpf.o"
OBJECT = Path(__file__).parent.parent / "objects" / "ring_events.bpf.o"

# Audit events tell of each import, and run in the thread that imports.
FIRST_LOAD = """
import asyncio, sys, threading
import aiobpf

aiobpf.load
seen = []
main = threading.get_ident()

def on(event, arguments):
    if event == "import" and arguments[0].startswith("aiobpf."):
        seen.append((arguments[0], threading.get_ident() == main))

async def first(path):
    sys.addaudithook(on)
    async with aiobpf.load(path) as collection:
        assert collection.maps
        async with collection.stream("events"):
            pass

asyncio.run(first(sys.argv[1]))
print(len(seen), *(name for name, is_main in seen if is_main))
"""


def run(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.root
def test_the_first_load_of_a_process_imports_in_its_worker_thread() -> None:
    count, *in_the_event_loop = run(FIRST_LOAD, OBJECT).split()
    assert int(count) > 50
    assert in_the_event_loop == []


@pytest.mark.root
@pytest.mark.asyncio
async def test_loads_open_the_kernels_types_once_and_take_one_hop_to_a_worker_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    hops = 0
    from_file, run_sync = Btf.from_file, anyio.to_thread.run_sync

    def counted_open(path: str | Path, *arguments: Any) -> Btf:
        opened.append(str(path))
        return from_file(path, *arguments)

    async def counted_hop(*arguments: Any, **options: Any) -> Any:
        nonlocal hops
        hops += 1
        return await run_sync(*arguments, **options)

    monkeypatch.setattr(Btf, "from_file", counted_open)
    monkeypatch.setattr(anyio.to_thread, "run_sync", counted_hop)
    import_module("aiobpf.collection.collection")  # else that is the first load's first hop
    shared_btf_cache.cache_clear()
    try:
        for _ in range(3):
            before = hops
            async with aiobpf.load(MONITOR):
                taken = hops - before
            assert (taken, hops - before) == (1, 2), "one to load, one to close"
    finally:
        shared_btf_cache.cache_clear()
    assert opened == ["/sys/kernel/btf/vmlinux"]


def test_to_say_load_imports_nothing_that_loads() -> None:
    code = "import sys, aiobpf; aiobpf.load('x'); print(*(name for name in sys.modules if name.startswith('aiobpf.')))"
    imported = set(run(code).split())
    assert "aiobpf.collection.opening" in imported
    assert not {"aiobpf.collection.collection", "aiobpf.elf", "aiobpf.btf", "aiobpf.spec", "aiobpf.link"} & imported


def test_reading_a_ring_buffer_needs_no_other_kind_of_stream() -> None:
    code = (
        "import sys; from aiobpf.stream import RingBuffer; print(*(name for name in sys.modules if 'aiobpf' in name))"
    )
    imported = set(run(code).split())
    others = ("xsk_socket", "perf_buffer", "log_lines", "rows", "user_ring_buffer", "merged", "relay", "trace_pipe")
    assert not {f"aiobpf.stream.{other}" for other in others} & imported


@pytest.mark.parametrize("package", ["aiobpf.collection", "aiobpf.runtime", "aiobpf.stream", "aiobpf.spec"])
def test_every_name_of_a_package_is_there(package: str) -> None:
    module = import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        module.nothing_like_it
