"""What every test may use: the three event loops, the fd count, the feature gate, the yardstick.

An async test of the library carries ``@pytest.mark.everywhere`` and runs three times: on asyncio in debug mode (through
pytest-asyncio), and on uvloop and trio (through anyio's plugin).
"""

from __future__ import annotations

import gc
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.kernel_features import KNOWN_TO_BE_HERE, why_not_here
from tests.kernel_probes import may_use_bpf
from tests.matrix.outcomes import Outcome, Outcomes
from tests.matrix.rows import kernel_under_test, must_show

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# A busy machine has slow moments, which say nothing of an example; pytest-timeout bounds each test as a whole.
settings.register_profile("aiobpf", deadline=None)
settings.load_profile("aiobpf")

EVERY_BACKEND = {
    "asyncio": pytest.param(("asyncio", {"debug": True}), id="asyncio", marks=pytest.mark.asyncio),
    "uvloop": pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop", marks=pytest.mark.anyio),
    "trio": pytest.param(
        ("trio", {"restrict_keyboard_interrupt_to_checkpoints": True}), id="trio", marks=pytest.mark.anyio
    ),
}

# AIOBPF_TEST_BACKENDS=asyncio: what a slow machine (an emulated one, above all) can afford.
BACKENDS = [EVERY_BACKEND[name] for name in os.environ.get("AIOBPF_TEST_BACKENDS", ",".join(EVERY_BACKEND)).split(",")]


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
    types = sys.modules.get("aiobpf.kernel.btf")  # not imported for this: the wheel's tests run where it cannot be
    if types is not None and types.shared_btf_cache.cache_info().currsize:
        types.shared_btf_cache().close()  # the BTF objects of modules, which it keeps for the next load
    left = {fd: what for fd, what in open_fds().items() if before.get(fd) != what}
    if left:
        gc.collect()  # an exception's traceback may hold the last reference; a forgotten fd warns (an error) as it goes
        left = {fd: what for fd, what in open_fds().items() if before.get(fd) != what}
    # Not any file: this package's own folder has "bpf" in its name, and libraries keep files of theirs open.
    kernels = {fd: what for fd, what in left.items() if what.startswith(("anon_inode:", "/sys/"))}
    kinds = ("bpf", "btf", "perf_event", "timerfd")
    ours = {fd: what for fd, what in kernels.items() if any(kind in what for kind in kinds)}
    assert not ours, f"descriptors left open: {ours}"


# --- what a kernel test needs, and what it shows ---------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marks = list(item.iter_markers("requires"))
    if (marks or item.get_closest_marker("root")) and not may_use_bpf():
        assert "root" not in KNOWN_TO_BE_HERE, "CAP_BPF, CAP_PERFMON or CAP_NET_ADMIN is missing"
        pytest.skip("needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: run as root")
    for name in [name for mark in marks for name in mark.args]:
        reason = why_not_here(name)
        if reason is not None:
            pytest.skip(f"no {name} here ({reason})")


OUTCOMES = pytest.StashKey[Outcomes]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = Outcomes()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What became of the rows that the test shows."""
    report = yield
    rows = [row for mark in item.iter_markers("shows") for row in mark.args]
    if not rows or (report.passed and report.when != "call"):
        return report
    why = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
    result = {"passed": "shown", "failed": "failed", "skipped": "skipped"}[report.outcome]
    for row in rows:
        item.config.stash[OUTCOMES].add(row, Outcome(result, why))
    return report


def not_shown(config: pytest.Config) -> dict[str, str]:
    """Rows that are known to work on this kernel and that every test of them skipped, and why."""
    rows = config.stash[OUTCOMES].rows if may_use_bpf() else {}
    return {row: told.why for row, told in rows.items() if told.result == "skipped" and must_show(row)}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A row that no test has shown fails the run; one test of several may well skip (a way in that came later)."""
    if session.exitstatus == pytest.ExitCode.OK and not_shown(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """AIOBPF_TEST_MATRIX names the file for what was shown of the rows ("-": the output's end, as in a VM)."""
    for row, why in not_shown(config).items():
        terminalreporter.write_line(f"FAILED {row} is known to work on {kernel_under_test()}, and was skipped: {why}")
    where, kernel = os.environ.get("AIOBPF_TEST_MATRIX"), kernel_under_test()
    if not where or kernel is None:
        return
    lines = list(config.stash[OUTCOMES].lines(kernel))
    if where == "-":
        for line in lines:
            terminalreporter.write_line(line)
    else:
        with Path(where).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
