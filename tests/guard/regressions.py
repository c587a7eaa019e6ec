"""Changes for the worse, made on purpose, to see that the guard tells.

``python -m tests.guard.regressions NAME MODULE [ARGUMENT ...]`` runs MODULE with one of them.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any


def _before(owner: Any, name: str, what: Any) -> None:
    """Have *what* called before each call of *owner*'s function."""
    real = getattr(owner, name)

    def function(*args: Any, **options: Any) -> Any:
        what()
        return real(*args, **options)

    setattr(owner, name, function)


def a_system_call_a_drain() -> None:
    from aiobpf.stream.ring_source import RingSource

    _before(RingSource, "drain", os.getppid)


def a_block_a_batch() -> None:
    from aiobpf.stream.ring_source import RingSource

    kept: list[object] = []
    _before(RingSource, "drain", lambda: kept.append(object()))


def a_turn_a_batch() -> None:
    from anyio.lowlevel import checkpoint

    from aiobpf.stream import RingBuffer

    owner: Any = RingBuffer
    real = owner.batches

    async def batches(*args: Any, **options: Any) -> Any:
        async for batch in real(*args, **options):
            await checkpoint()
            yield batch

    owner.batches = batches


def a_record_decoded_twice() -> None:
    from aiobpf.btf.codecs import Codec

    owner: Any = Codec
    real = owner.decode_all

    def decode_all(*args: Any) -> Any:
        real(*args)
        return real(*args)

    owner.decode_all = decode_all


def a_job_more_a_load() -> None:
    from aiobpf.collection import collection
    from aiobpf.kernel import worker

    owner: Any = collection
    real = owner.in_worker

    async def in_worker(*args: Any, **options: Any) -> Any:
        await worker.in_worker(int)
        return await real(*args, **options)

    owner.in_worker = in_worker


def a_probe_a_load() -> None:
    from aiobpf.collection import collection
    from aiobpf.kernel import create_map
    from aiobpf.uapi import MapType

    _before(collection, "load_collection", lambda: create_map(MapType.ARRAY, 4, 8, 1, name="probe").close())


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    module = sys.argv[2]
    sys.argv[:] = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
