"""Structs that a module defines. No kernel at hand has such a module, so the kernel's side is made up here."""

from __future__ import annotations

from typing import Any, cast

import pytest

from aiobpf import kernel
from aiobpf.asm import R0, Instructions, exit_, mov
from aiobpf.btf import Btf, BtfBuilder, FunctionPrototype, Int, Member, Pointer, Struct, Void
from aiobpf.errors import KernelError, NotSupportedError
from aiobpf.kernel import KernelType, OwnedFd
from aiobpf.runtime import LoadContext, LoadOptions
from aiobpf.runtime.struct_ops import create_struct_ops_map, struct_ops_target
from aiobpf.spec import MapSpec, ProgramSpec, StructOpsMembers
from aiobpf.uapi import MapFlags, MapType, ProgramType

U32 = Int("unsigned int", 4)
FUNCTION = Pointer(FunctionPrototype(Void(), ()))
OPS = Struct("toy_ops", 24, [Member("number", U32, 0), Member("stop", FUNCTION, 64), Member("start", FUNCTION, 128)])
VALUE = Struct("bpf_struct_ops_toy_ops", 64, [Member("common", Struct("c", 8), 0), Member("data", OPS, 128)])
MODULE_FD = 4711


class ModuleCache:
    """A cache in which module "toy" has the struct, and vmlinux nothing."""

    def __init__(self) -> None:
        empty, module = BtfBuilder(), BtfBuilder()
        empty.add(U32)
        module.add(VALUE)
        self._vmlinux = Btf.from_bytes(empty.encode())
        self.btf = Btf.from_bytes(module.encode())

    def vmlinux(self) -> Btf:
        return self._vmlinux

    def find(self, name: str, kind: type[Any]) -> KernelType | None:
        for found in self.btf.all_by_name(name, kind):
            return KernelType(found, self.btf.id_of(found), self.btf, "toy", MODULE_FD)
        return None


@pytest.fixture
def context() -> LoadContext:
    cache = ModuleCache()
    context = LoadContext(LoadOptions(btf_cache=cast("Any", cache)), None)
    context.btf._is_loaded = True  # nothing of it is looked at
    return context


def spec() -> MapSpec:
    local = Struct("toy_ops", 16, [Member("start", FUNCTION, 0), Member("number", U32, 64)])
    members = StructOpsMembers(local, bytes(8) + (5).to_bytes(4, "little") + bytes(4), {"start": "begin"})
    return MapSpec(name="toys", type=MapType.STRUCT_OPS, value=local, value_size=16, members=members, max_entries=1)


def test_a_modules_struct_is_made_with_the_modules_btf(context: LoadContext, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def create(*args: int, **kwargs: Any) -> OwnedFd:
        asked.update(kwargs, args=args)
        return OwnedFd(what="toys")

    monkeypatch.setattr(kernel, "create_map", create)
    made = create_struct_ops_map(spec(), context)
    found = context.cache.find("bpf_struct_ops_toy_ops", Struct)
    assert found is not None
    assert asked["args"] == (MapType.STRUCT_OPS, 4, 64, 1)
    assert (asked["kernel_value_type_id"], asked["value_type_btf"]) == (found.type_id, MODULE_FD)
    assert made.registration is not None
    assert made.registration.members == {16 + 16: ("start", "begin")}
    assert made.registration.value[16:20] == (5).to_bytes(4, "little")


def test_its_programs_are_verified_for_the_modules_struct(context: LoadContext) -> None:
    code = Instructions([mov(R0, 0), exit_()])
    program = ProgramSpec(name="begin", type=ProgramType.STRUCT_OPS, instructions=code, attach_to="toy_ops:start")
    target = struct_ops_target(program, context)
    assert (target.member, target.struct.btf_fd, target.struct.module) == (2, MODULE_FD, "toy")
    found = target.struct.btf.by_name("toy_ops", Struct)
    assert target.struct.type_id == target.struct.btf.id_of(found)


def test_a_kernel_without_them_is_named(context: LoadContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: int, **kwargs: Any) -> OwnedFd:
        raise KernelError(22, "BPF_MAP_CREATE", "toys")

    monkeypatch.setattr(kernel, "create_map", refuse)
    monkeypatch.setattr("aiobpf.runtime.struct_ops.features.supports_map_type", lambda _: True)
    asked = spec()
    with pytest.raises(NotSupportedError, match=r"'toys' for a struct of module 'toy' needs Linux 6\.9"):
        create_struct_ops_map(asked, context)
    asked.flags = MapFlags.LINK
    monkeypatch.setattr("aiobpf.runtime.struct_ops.features.supports_map_type", lambda _: False)
    with pytest.raises(NotSupportedError, match=r"'toys' needs Linux 5\.6"):
        create_struct_ops_map(asked, context)
