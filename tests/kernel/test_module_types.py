"""The types of a real module, and the kernel's own opinion of a base that was distilled here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import Btf, distill_base
from aiobpf.kernel import KernelBtfCache
from tests.kernel_btfs import RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = "dummy"
"""A network device that sends nowhere: it needs no other module."""

pytestmark = [pytest.mark.root, pytest.mark.requires("modules with distilled types")]


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def module_file(tmp_path: Path) -> Path:
    (packed,) = Path(f"/lib/modules/{os.uname().release}/kernel").rglob(f"{MODULE}.ko*")
    plain = tmp_path / f"{MODULE}.ko"
    plain.write_bytes(packed.read_bytes())
    if packed.suffix == ".xz":
        plain.rename(tmp_path / packed.name)
        run("xz", "-d", tmp_path / packed.name)
    return plain


@pytest.fixture
def loaded(module_file: Path) -> Iterator[tuple[Btf, Btf]]:
    """The module with a distilled base put into it, loaded: what it was made of, and the kernel's base."""
    vmlinux = Btf.from_file(RUNNING)
    split = Btf.from_file(module_file, vmlinux)
    distilled = distill_base(split)
    assert distilled.base is not None
    (module_file.parent / "own").write_bytes(distilled.raw)
    (module_file.parent / "base").write_bytes(distilled.base.raw)
    sections = [
        "--update-section",
        f".BTF={module_file.parent}/own",
        "--add-section",
        f".BTF.base={module_file.parent}/base",
    ]
    run("objcopy", *sections, "--set-section-flags", ".BTF.base=readonly,data", module_file)
    busybox = shutil.which("busybox")
    assert busybox is not None, "Debian: busybox-static"
    run(busybox, "insmod", module_file)
    try:
        yield split, vmlinux
    finally:
        run(busybox, "rmmod", MODULE)


def test_the_kernel_relocates_a_base_distilled_here_as_this_does(loaded: tuple[Btf, Btf], module_file: Path) -> None:
    split, vmlinux = loaded
    kernels = KernelBtfCache().module(MODULE)
    ours = Btf.from_file(module_file, vmlinux)
    assert list(kernels.raw_types()) == list(ours.raw_types())
    assert kernels.own_strings == ours.own_strings
    own = split.types[split.first_id :]
    assert [str(each) for each in kernels.types[kernels.first_id :]][: len(own)] == [str(each) for each in own]
