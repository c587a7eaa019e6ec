"""Descriptors with one owner."""

from __future__ import annotations

import contextlib
import gc
import os
import threading

import pytest

from aiobpf.errors import ClosedError, KernelError
from aiobpf.kernel.fd import OwnedFd, number


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture
def owned() -> OwnedFd:
    return OwnedFd(os.open("/dev/null", os.O_RDONLY), "the test's null device")


def test_closes_once(owned: OwnedFd) -> None:
    fd = owned.fileno()
    assert is_open(fd)
    owned.close()
    assert owned.is_closed
    assert not is_open(fd)
    other = os.open("/dev/null", os.O_RDONLY)  # takes the number over
    assert other == fd
    owned.close()
    assert is_open(other)
    os.close(other)


def test_a_closed_one_is_an_error_that_names_it(owned: OwnedFd) -> None:
    owned.close()
    for use in (owned.fileno, owned.detach, owned.duplicate):
        with pytest.raises(ClosedError, match="the test's null device is closed"):
            use()
    assert repr(owned) == "<OwnedFd the test's null device: closed>"


def test_detach_hands_the_number_out(owned: OwnedFd) -> None:
    fd = owned.detach()
    owned.close()
    assert is_open(fd)
    os.close(fd)


def test_take_moves_it_to_another_owner(owned: OwnedFd) -> None:
    fd = owned.fileno()
    with owned.take() as taken:
        assert owned.is_closed
        assert taken.fileno() == fd
        assert taken.what == owned.what
        assert owned.take().is_closed
    assert not is_open(fd)


def test_a_duplicate_lives_on_its_own(owned: OwnedFd) -> None:
    with owned, owned.duplicate() as copy:
        assert copy.fileno() != owned.fileno()
        assert not os.get_inheritable(copy.fileno())
        owned.close()
        assert is_open(copy.fileno())


def test_a_duplicate_of_nothing_is_the_kernels_error() -> None:
    stale = OwnedFd(1 << 20, "stale")
    with pytest.raises(KernelError, match=r"stale: F_DUPFD_CLOEXEC: .* \(EBADF\)"):
        stale.duplicate()
    stale.detach()


def test_a_forgotten_one_warns_and_is_closed() -> None:
    owned = OwnedFd(os.open("/dev/null", os.O_RDONLY), "the test's null device")
    fd = owned.fileno()
    warning = rf"the test's null device was never closed \(descriptor {fd}\)"
    with pytest.warns(ResourceWarning, match=warning):  # noqa: PT031 collecting is how the first takes effect
        del owned
        gc.collect()
    assert not is_open(fd)


def test_an_empty_one_goes_quietly() -> None:
    owned = OwnedFd()
    assert owned.is_closed
    del owned
    gc.collect()


def test_an_unfinished_one_goes_quietly() -> None:
    OwnedFd.__new__(OwnedFd)
    gc.collect()


def test_threads_that_race_to_take_it_get_it_once() -> None:
    for _ in range(50):
        owned = OwnedFd(os.open("/dev/null", os.O_RDONLY))
        got: list[int] = []
        start = threading.Barrier(4)

        def race(owned: OwnedFd = owned, got: list[int] = got, start: threading.Barrier = start) -> None:
            start.wait()
            with contextlib.suppress(ClosedError):
                got.append(owned.detach())

        threads = [threading.Thread(target=race) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        os.close(got[0])


def test_a_number_is_taken_as_it_is(owned: OwnedFd) -> None:
    with owned:
        assert number(owned) == owned.fileno() == number(owned.fileno())
