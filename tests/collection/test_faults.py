"""A load in which each call of the kernel fails in turn leaves no descriptor, no pin and no map behind."""

from __future__ import annotations

import errno
import subprocess
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf import kernel
from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.elf import read_spec
from aiobpf.errors import KernelError
from aiobpf.kernel import MapElements, features
from aiobpf.runtime import LoadOptions, Map
from aiobpf.runtime.map_create import create_map, undo
from aiobpf.runtime.program_load import load_alone
from aiobpf.spec import MapSpec, Pinning
from aiobpf.uapi import MapType
from tests.conftest import open_fds

from .objects import map_kinds, subprograms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OBJECTS = Path(__file__).parent.parent / "objects"

pytestmark = pytest.mark.root

CALLS = (
    "create_map", "load_program", "load_btf", "freeze_map", "pin", "open_pin", "map_info", "map_by_id", "possible_cpus",
    "map_shared_at",
)  # fmt: skip


class Faults:
    """Counts the calls that the loader makes of the kernel, and lets those in *failing* fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.failing: Callable[[int], bool] = lambda _: False
        self.error: Callable[[str], BaseException] = injected
        for name in CALLS:
            monkeypatch.setattr(kernel, name, self._counted(name, getattr(kernel, name)))
        monkeypatch.setattr(MapElements, "update", self._counted("update", MapElements.update))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.failing(self.calls):
                raise self.error(name)
            return function(*args, **options)

        return call

    def each_in_turn(
        self,
        job: Callable[[], Any],
        left: Callable[[], object] = lambda: None,
        dispose: Callable[[Any], object] = methodcaller("close"),
    ) -> int:
        """Do *job* once for each of its calls, which fails: alone, with all after it, and with no memory left."""
        self.calls = 0
        dispose(job())
        total, self.calls = self.calls, 0
        before = open_fds(), left()
        for n in range(1, total + 1):
            for failing, error in (
                (lambda call, n=n: call == n, injected),
                (lambda call, n=n: call >= n, injected),
                (lambda call, n=n: call == n, out_of_memory),
            ):
                self.calls, self.failing, self.error = 0, failing, error
                try:
                    made = job()
                except (KernelError, MemoryError) as raised:
                    assert isinstance(raised, MemoryError) or raised.errno == errno.EIO
                else:  # one quiet refusal is asked about again, and then it loads
                    dispose(made)
                    assert self.calls > n
                    del made
                assert (open_fds(), left()) == before, f"call {n} of {total}"
        self.failing = lambda _: False
        return total


def injected(name: str) -> KernelError:
    return KernelError(errno.EIO, name, "injected")


def out_of_memory(name: str) -> MemoryError:
    return MemoryError(f"injected {name}")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    kernel.missing_btf_features()  # asked once a process: not to be counted
    features.supports_full_range_offsets()
    return Faults(monkeypatch)


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


def pins(bpffs: Path) -> list[str]:
    # Without the iterators that a kernel with CONFIG_BPF_PRELOAD puts there itself.
    return sorted(path.name for path in bpffs.iterdir() if not path.name.endswith(".debug"))


def mapped_maps() -> int:
    """Maps of which this process has the memory."""
    return Path("/proc/self/maps").read_text().count("bpf-map")


@pytest.mark.parametrize(
    "name",
    [
        "ring_events",
        "globals",
        "core",
        pytest.param("subprograms", marks=pytest.mark.requires("loops")),
        pytest.param("struct_ops", marks=pytest.mark.requires("struct_ops links")),
        pytest.param("arena", marks=pytest.mark.requires("arenas")),
    ],
)
def test_a_collection_comes_whole_or_not_at_all(faults: Faults, name: str) -> None:
    spec = read_spec(OBJECTS / f"{name}.bpf.o")
    total = faults.each_in_turn(lambda: load_collection(spec, LoadPlan()), mapped_maps)
    assert total >= len(spec.maps) + 1


def test_a_collection_with_pins_and_maps_of_maps_too(faults: Faults, bpffs: Path) -> None:
    spec = map_kinds()
    total = faults.each_in_turn(
        lambda: load_collection(spec, LoadPlan(pin_path=bpffs)), lambda: pins(bpffs), methodcaller("undo")
    )
    assert total > 10


def test_pins_that_were_there_stay(faults: Faults, bpffs: Path) -> None:
    spec = map_kinds()
    load_collection(spec, LoadPlan(pin_path=bpffs)).close()
    faults.each_in_turn(
        lambda: load_collection(spec, LoadPlan(pin_path=bpffs)), lambda: (bpffs / "pinned").lstat().st_ino
    )


def test_a_replaced_map_stays_open(faults: Faults) -> None:
    spec = subprograms()
    with create_map(spec.maps["table"])._fd as fd:
        table = Map.from_fd(fd, spec.maps["table"])
        faults.each_in_turn(
            lambda: load_collection(spec, LoadPlan(replace_maps={"table": table})), lambda: table.is_closed
        )


def test_a_program_alone_takes_its_maps_with_it(faults: Faults) -> None:
    spec = read_spec(OBJECTS / "globals.bpf.o").programs["count"]
    assert faults.each_in_turn(lambda: load_alone(spec, LoadOptions())) > 6


def test_a_map_alone_takes_its_pin_with_it(faults: Faults, bpffs: Path) -> None:
    value = (1).to_bytes(8, "little")
    spec = MapSpec(
        name="counts", type=MapType.PERCPU_ARRAY, key_size=4, value_size=8, max_entries=2, pinning=Pinning.BY_NAME,
        contents={bytes(4): value}, is_frozen=True,
    )  # fmt: skip

    assert faults.each_in_turn(lambda: create_map(spec, bpffs), lambda: pins(bpffs), undo) >= 5
