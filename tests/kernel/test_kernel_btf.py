"""The running kernel's own types, and those of modules (made up here: this kernel may have none)."""

from __future__ import annotations

import gc
import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import (
    Btf,
    BtfBuilder,
    CoreRelocation,
    CoreRelocationKind,
    CoreRelocator,
    Function,
    Int,
    IntEncoding,
    Struct,
)
from aiobpf.errors import BtfError, NotSupportedError
from aiobpf.kernel import KernelBtfCache, btf_info, kernel_btf, load_btf, shared_btf_cache
from aiobpf.kernel import btf as btf_module
from aiobpf.kernel.btf_probes import PLAIN_BTF

if TYPE_CHECKING:
    from pathlib import Path


def split_btf(name: str, base: Btf) -> bytes:
    """What a module adds: one struct of 8 bytes, whose name begins where the base's strings end."""
    strings = name.encode() + b"\0"
    types = struct.pack("=III", base.strings_end, 4 << 24, 8)
    return struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A /sys/kernel/btf with a small vmlinux and two modules."""
    (tmp_path / "vmlinux").write_bytes(PLAIN_BTF)
    base = Btf.from_bytes(PLAIN_BTF)
    (tmp_path / "first").write_bytes(split_btf("one", base))
    (tmp_path / "second_module").write_bytes(split_btf("two", base))
    return tmp_path


@pytest.mark.everywhere
async def test_the_running_kernels_types_are_opened_once(anyio_backend: object) -> None:
    btf = await kernel_btf()
    assert isinstance(btf.by_name("task_struct", Struct), Struct)
    assert await kernel_btf() is btf
    assert shared_btf_cache().vmlinux() is btf
    cache = KernelBtfCache()
    other = await kernel_btf(btf_cache=cache)
    assert other is not btf
    assert await kernel_btf(btf_cache=cache) is other


@pytest.mark.everywhere
async def test_a_module_that_is_not_loaded_is_named(anyio_backend: object) -> None:
    with pytest.raises(NotSupportedError, match="types of module 'no_such_module'"):
        await kernel_btf("no_such_module")
    with pytest.raises(ValueError, match="no name of a module"):
        await kernel_btf("../vmlinux")


def test_a_modules_types_add_to_the_kernels(directory: Path) -> None:
    cache = KernelBtfCache(directory)
    first = cache.module("first")
    assert first.base is cache.vmlinux()
    assert cache.module("first") is first
    assert cache.module("vmlinux") is cache.vmlinux()
    assert cache.module("second-module") is cache.module("second_module")
    assert cache.module_names() == ["first", "second_module"]
    assert cache.modules() == [first, cache.module("second_module")]


def test_a_module_loaded_again_is_read_again_only_if_it_is_another(directory: Path) -> None:
    cache = KernelBtfCache(directory)
    before = cache.module("first")
    data = (directory / "first").read_bytes()
    (directory / "first").unlink()
    with pytest.raises(NotSupportedError):
        cache.module("first")
    (directory / "first").write_bytes(data)
    assert cache.module("first") is before
    (directory / "first").write_bytes(split_btf("other", cache.vmlinux()))
    after = cache.module("first")
    assert after is not before
    assert after.by_name("other", Struct).size == 8


def test_what_is_unloaded_is_forgotten(directory: Path) -> None:
    cache = KernelBtfCache(directory)
    assert len(cache.modules()) == 2
    (directory / "first").unlink()
    assert cache.modules() == [cache.module("second_module")]


def test_find_looks_in_the_kernel_first(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = KernelBtfCache(directory)
    asked: list[str] = []

    def module_fd(self: KernelBtfCache, name: str) -> int:
        asked.append(name)
        return 77

    monkeypatch.setattr(KernelBtfCache, "module_fd", module_fd)
    found = cache.find("two", Struct)
    assert found is not None
    assert (found.type_id, found.module, found.btf_fd) == (2, "second_module", 77)
    assert cache.find("two", Struct, module="first") is None
    assert cache.find("two", Struct, module="vmlinux") is None
    assert cache.find("two", Function) is None
    assert cache.find("one", Struct, module="not-there") is None
    assert asked == ["second_module"]


@pytest.mark.root
def test_the_descriptor_of_a_modules_types_is_kept_and_closed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This kernel has no modules: a BTF object of our own stands in for the module's."""
    from attrs import evolve

    real = btf_info
    with load_btf(PLAIN_BTF) as mine:
        number = real(mine).id

        def module_info(fd: object) -> object:
            info = real(fd)  # type: ignore[arg-type]
            return evolve(info, is_kernel=True, name="first") if info.id == number else info

        monkeypatch.setattr(btf_module, "btf_info", module_info)
        cache = KernelBtfCache(directory)
        found = cache.find("one", Struct)
        assert found is not None
        assert found.btf_fd is not None
        again = cache.find("one", Struct)
        assert again is not None
        assert again.btf_fd == found.btf_fd
        assert real(found.btf_fd).id == number
        cache.close()
        with pytest.raises(OSError, match="EBADF"):
            real(found.btf_fd)
        assert cache.find("one", Struct) is not None
        del cache, found, again
        gc.collect()  # closes it, and that is nothing to warn of
    monkeypatch.undo()
    with pytest.raises(NotSupportedError, match="BTF object of module 'first'"):
        KernelBtfCache(directory).find("one", Struct)


def test_a_kernel_without_types_says_so(tmp_path: Path) -> None:
    cache = KernelBtfCache(tmp_path)
    with pytest.raises(NotSupportedError, match="CONFIG_DEBUG_INFO_BTF"):
        cache.vmlinux()
    assert KernelBtfCache(tmp_path / "nowhere").modules() == []


def test_garbled_types_name_their_file(directory: Path) -> None:
    (directory / "first").write_bytes(b"\x9f\xeb\1\0garbage")
    with pytest.raises(BtfError, match="/first: "):
        KernelBtfCache(directory).module("first")
    (directory / "vmlinux").write_bytes(b"garbage")
    with pytest.raises(BtfError, match="/vmlinux: "):
        KernelBtfCache(directory).vmlinux()


def test_a_module_with_garbled_types_is_a_warning_and_the_others_count(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KernelBtfCache, "module_fd", lambda *_: 77)
    (directory / "first").write_bytes(b"\x9f\xeb\1\0garbage")
    cache = KernelBtfCache(directory)
    with pytest.warns(RuntimeWarning, match="types of module 'first' are left out") as warned:
        found = cache.find("two", Struct)
    assert len(warned) == 1
    assert found is not None
    assert found.module == "second_module"
    assert cache.modules() == [found.btf], "it is told once"
    with pytest.raises(BtfError, match="/first: "):
        cache.find("one", Struct, module="first")
    (directory / "first").write_bytes(b"\x9f\xeb\1\0other garbage")
    with pytest.warns(RuntimeWarning, match="module 'first'"):
        assert cache.modules() == [found.btf]
    (directory / "first").write_bytes(split_btf("one", cache.vmlinux()))
    assert len(cache.modules()) == 2


def test_core_goes_on_without_a_module_whose_types_are_garbled(directory: Path) -> None:
    (directory / "first").write_bytes(split_btf("one", Btf.from_bytes(PLAIN_BTF))[:-3])
    cache = KernelBtfCache(directory)
    builder = BtfBuilder()
    known, wanted = Struct("two", 4), Struct("int_like", 4)
    ids = [builder.add(known), builder.add(wanted), builder.add(Int("int", 4))]
    local = Btf.from_bytes(builder.encode())
    relocator = CoreRelocator([cache.vmlinux()], more_targets=cache.modules)
    with pytest.warns(RuntimeWarning, match="module 'first'"):
        size = relocator.resolve(CoreRelocation(ids[0], local, "0", CoreRelocationKind.TYPE_SIZE))
    assert size.target == 8
    exists = relocator.resolve(CoreRelocation(ids[1], local, "0", CoreRelocationKind.TYPE_EXISTS))
    assert exists.target == 0


def test_modules_are_not_opened_for_what_the_kernel_has(directory: Path) -> None:
    (directory / "first").write_bytes(b"garbage")
    cache = KernelBtfCache(directory)
    assert cache.find("int", Int) is not None
    builder = BtfBuilder()
    number = builder.add(Int("int", 4, encoding=IntEncoding.SIGNED))
    relocation = CoreRelocation(number, Btf.from_bytes(builder.encode()), "0", CoreRelocationKind.TYPE_SIZE)
    assert CoreRelocator([cache.vmlinux()], more_targets=cache.modules).resolve(relocation).target == 4


def test_a_type_that_several_modules_have_is_found_in_the_one_that_is_named(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KernelBtfCache, "module_fd", lambda *_: 77)
    base = Btf.from_bytes(PLAIN_BTF)
    for name in ("first", "second_module"):
        (directory / name).write_bytes(split_btf("shared", base))
    cache = KernelBtfCache(directory)
    for asked, expected in [(None, "first"), ("first", "first"), ("second-module", "second-module")]:
        found = cache.find("shared", Struct, module=asked)
        assert found is not None
        assert (found.module, found.btf) == (expected, cache.module(expected))


def test_the_file_may_go_while_the_types_are_used(directory: Path) -> None:
    cache = KernelBtfCache(directory)
    btf = cache.vmlinux()
    shutil.rmtree(directory)
    assert btf.type_by_id(1) is btf.type_by_id(1)
