"""Kernels from files: what they are called, what their modules add."""

from __future__ import annotations

import lzma
import struct
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import Function
from aiobpf.compatibility import TargetKernel
from aiobpf.compatibility.kernel import module_name, version_in
from aiobpf.errors import BtfError

from .conftest import btf_of, function, make_kernel
from .conftest import struct as struct_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("6.12.117+deb13-cloud-amd64", (6, 12, 117)),
        ("vmlinux-5.4.0-42-generic", (5, 4, 0)),
        ("5.10", (5, 10, 0)),
        ("vmlinux", None),
        ("kernel-a", None),
    ],
)
def test_the_version_is_in_the_name(name: str, version: tuple[int, int, int] | None) -> None:
    assert version_in(name) == version


def test_modules_are_called_as_the_kernel_calls_them(tmp_path: Path) -> None:
    assert module_name(tmp_path / "nf-conntrack.ko.xz") == "nf_conntrack"
    assert module_name(tmp_path / "veth.btf") == "veth"
    assert module_name(tmp_path / "veth") == "veth"


def split(base: TargetKernel, name: str) -> bytes:
    """The BTF of a module with one function, whose prototype is the kernel's."""
    strings = b"\0" + name.encode() + b"\0"
    (known,) = base.btf.all_by_name("vfs_read", Function)
    base_strings = struct.unpack_from("<I", base.btf.raw, 20)[0]
    types = struct.pack("<III", base_strings + 1, 12 << 24, base.btf.id_of(known.type))
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


def write_kernel(folder: Path) -> TargetKernel:
    base = make_kernel(function("vfs_read"))
    (folder / "vmlinux").write_bytes(base.btf.raw)
    (folder / "some_module").write_bytes(split(base, "of_module"))
    return base


def test_a_folder_is_a_kernel_with_all_its_modules(tmp_path: Path) -> None:
    folder = tmp_path / "6.1.9-test"
    folder.mkdir()
    write_kernel(folder)
    kernel = TargetKernel.from_files(folder)
    assert (kernel.name, kernel.version, kernel.is_complete) == ("6.1.9-test", (6, 1, 9), True)
    found = kernel.find("of_module", Function)
    assert found is not None
    assert found[1] == "some_module"
    assert kernel.find("vfs_read", Function, "some_module") is None
    assert kernel.find("nothing", Function) is None


def test_a_file_alone_leaves_modules_open(tmp_path: Path) -> None:
    tmp_path /= "2.1"  # of a folder's name nothing follows
    tmp_path.mkdir()
    write_kernel(tmp_path)
    (tmp_path / "5.10.2.btf.xz").write_bytes(lzma.compress((tmp_path / "vmlinux").read_bytes()))
    kernel = TargetKernel.from_files(tmp_path / "5.10.2.btf.xz")
    assert (kernel.name, kernel.version, kernel.is_complete) == ("5.10.2", (5, 10, 2), False)
    named = TargetKernel.from_files(tmp_path / "vmlinux", tmp_path / "some_module")
    assert (named.name, named.is_complete, named.version) == (str(tmp_path / "vmlinux"), True, None)
    assert TargetKernel.from_files(tmp_path / "vmlinux", name="mine 4.19").version == (4, 19, 0)


def test_files_that_are_no_kernel_are_named(tmp_path: Path) -> None:
    with pytest.raises(BtfError, match=f"{tmp_path}: there is no file called vmlinux"):
        TargetKernel.from_files(tmp_path)
    write_kernel(tmp_path)
    (tmp_path / "broken").write_bytes(b"\x9f\xeb")
    with pytest.raises(BtfError, match="broken: BTF header"):
        TargetKernel.from_files(tmp_path)
    with pytest.raises(FileNotFoundError):
        TargetKernel.from_files(tmp_path / "nowhere")


def test_what_btf_says_of_a_kernels_abilities() -> None:
    assert make_kernel().verifies_lazily is None
    assert make_kernel(struct_of("bpf_func_info_aux", linkage=0)).verifies_lazily is False
    assert make_kernel(struct_of("bpf_func_info_aux", linkage=0, called=4)).verifies_lazily is True
    bare = TargetKernel("bare", btf_of([struct_of("s", a=0)]))
    assert bare.enumerators("bpf_map_type") is None
    assert bare.program_types is None
    assert bare.has_kfuncs is False
    assert make_kernel(helpers=4).enumerators("bpf_func_id") == frozenset({1, 2, 3, 4})
