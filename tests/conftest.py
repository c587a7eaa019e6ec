"""What every test may use: the three event loops, the fd count, the feature gate.

An async test of the library carries ``@pytest.mark.everywhere`` and runs three times: on asyncio in debug mode (through
pytest-asyncio), and on uvloop and trio (through anyio's plugin).
"""

from __future__ import annotations

import gc
import inspect
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKENDS = [
    pytest.param(("asyncio", {"debug": True}), id="asyncio", marks=pytest.mark.asyncio),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop", marks=pytest.mark.anyio),
    pytest.param(("trio", {"restrict_keyboard_interrupt_to_checkpoints": True}), id="trio", marks=pytest.mark.anyio),
]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> None:
    if not collector.istestfunction(obj, name) or not inspect.iscoroutinefunction(obj):
        return
    marks = getattr(obj, "pytestmark", ())
    if any(mark.name == "everywhere" for mark in marks) or collector.get_closest_marker("everywhere"):
        pytest.mark.usefixtures("anyio_backend")(obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("everywhere") and inspect.iscoroutinefunction(metafunc.function):
        metafunc.parametrize("anyio_backend", BACKENDS, indirect=True)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Which loop the test runs on; parametrized by the ``everywhere`` mark."""
    backend: tuple[str, dict[str, Any]] = getattr(request, "param", ("asyncio", {"debug": True}))
    return backend


def open_fds() -> dict[int, str]:
    """The descriptors of this process, with what they refer to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the listing's own descriptor
            continue
    return found


@pytest.fixture(autouse=True)
def no_fd_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test leaves as many bpf, perf and other descriptors as it found."""
    before = open_fds()
    yield
    left = {fd: what for fd, what in open_fds().items() if before.get(fd) != what}
    if left:
        gc.collect()  # an exception's traceback may hold the last reference; a forgotten fd warns (an error) as it goes
        left = {fd: what for fd, what in open_fds().items() if before.get(fd) != what}
    ours = {fd: what for fd, what in left.items() if "bpf" in what or "perf_event" in what or "btf" in what}
    assert not ours, f"descriptors left open: {ours}"
