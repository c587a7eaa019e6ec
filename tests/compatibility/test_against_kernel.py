"""The verdict beside the truth: each program is loaded into the kernel that runs, one by one.

What loads must not be called refused, and what is refused for lack of something must not be called loadable. The
verifier's own rules (a pointer that was not compared with NULL) are no matter of compatibility: they are listed.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.compatibility import TargetKernel, Verdict, check
from aiobpf.compatibility.report import worst
from aiobpf.elf import read_spec
from aiobpf.errors import BpfError, NotSupportedError
from aiobpf.kernel.kallsyms import Kallsyms
from aiobpf.kernel.kconfig import kernel_config
from aiobpf.kernel.release import kernel_version
from tests.conftest import has_trampolines
from tests.elf.conftest import embedded_object, installed_objects

from .conftest import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.spec import CollectionSpec

pytestmark = pytest.mark.root

VERIFIER = {
    ("rejected", "unchecked"): "it does not compare a pointer with NULL, which no kernel takes",
    ("xdp-dispatcher", "xdp_dispatcher"): "it calls functions that xdp-tools replaces at load",
}
"""Programs that are refused whatever the kernel has."""


def objects() -> list[Path]:
    own = [path for path in sorted(OBJECTS.glob("*.bpf.o")) if ".eb." not in path.name]
    return own + installed_objects()


@pytest.fixture(scope="module")
def running() -> TargetKernel:
    """The kernel that runs, as a target: all that its files tell."""
    folder = Path("/sys/kernel/btf")
    try:
        config = kernel_config()
    except NotSupportedError:
        config = None
    kernel = TargetKernel.from_files(folder, config=config, symbols=Kallsyms.read().names())
    kernel.version = kernel_version()
    return kernel


@pytest.fixture(scope="module")
def pins() -> Iterator[str]:
    """A bpffs for maps that want to be pinned."""
    import subprocess

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
        stack.callback(subprocess.run, ["umount", folder], check=True)
        os.mkdir(f"{folder}/maps")
        yield f"{folder}/maps"


def complete(spec: CollectionSpec) -> None:
    """What objects leave to their tools: sizes of maps."""
    for each in spec.maps.values():
        if each.section is None and each.type.name not in {"RINGBUF", "USER_RINGBUF", "PERF_EVENT_ARRAY", "ARENA"}:
            if not each.type.name.endswith("_STORAGE"):
                each.max_entries = each.max_entries or 64
            if each.key is None or each.value is None:
                each.value_size = each.value_size or 64


@pytest.mark.parametrize("path", objects(), ids=lambda path: path.name.removesuffix(".bpf.o"))
def test_what_loads_is_not_refused_and_what_is_missing_does_not_load(
    path: Path, running: TargetKernel, pins: str
) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not installed (Debian: libbpf-tools, xdp-tools)")
    name = path.name.removesuffix(".bpf.o")
    spec = read_spec(path if path.suffix == ".o" else embedded_object(path))
    complete(spec)
    (report,) = check(spec, running, programs=list(spec.programs)).kernels
    # A program array is loaded with what it holds.
    held = {value for each in spec.maps.values() for value in each.contents.values() if isinstance(value, str)}
    held &= spec.programs.keys()
    needs_trampolines = {"fentry", "fexit", "fmod_ret", "lsm", "fentry.s", "fexit.s", "lsm.s", "fsession"}
    maps = worst(finding.verdict for finding in report.findings if finding.map is not None)
    differences = []
    for program, alone in report.programs.items():
        verdict = worst([alone, maps])
        if spec.programs[program].section.split("/")[0] in needs_trampolines and not has_trampolines():
            continue  # this machine's kernel refuses them, whatever they say
        error: BpfError | None = None
        try:
            plan = LoadPlan(programs=frozenset({program, *held}), pin_path=pins)
            load_collection(spec, plan).close()
        except BpfError as found:
            error = found
        for left in os.listdir(pins):
            os.unlink(os.path.join(pins, left))
        if (name, program) in VERIFIER:
            continue
        if (error is None) != (verdict is Verdict.LOADS) and verdict is not Verdict.UNKNOWN:
            differences.append(f"{program}: {verdict.value}, but {error or 'it loads'}")
    assert not differences
