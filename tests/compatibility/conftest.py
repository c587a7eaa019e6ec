"""Kernels to check against: made up ones, with what a test gives them, and the BTFs of real ones where they are."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import (
    Btf,
    BtfBuilder,
    Enum,
    Enumerator,
    Function,
    FunctionPrototype,
    Int,
    IntEncoding,
    Linkage,
    Member,
    Parameter,
    Pointer,
    Struct,
    Typedef,
    Void,
)
from aiobpf.compatibility import TargetKernel
from aiobpf.uapi import AttachType, MapType, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Literal

    from aiobpf.btf import Type

OBJECTS = Path(__file__).parent.parent / "objects"
KERNELS = Path(__file__).parent / "kernels"
INT = Int("int", 4, encoding=IntEncoding.SIGNED)
VARIABLE = "AIOBPF_KERNEL_BTFS"
"""The environment's name for a folder of whole vmlinux BTFs of the same kernels, as RELEASE.btf.xz."""


def function(name: str, *tags: str, returns: Type = INT, takes: Iterable[Type] = ()) -> Function:
    parameters = [Parameter(f"p{i}", each) for i, each in enumerate(takes)]
    return Function(name, FunctionPrototype(returns, parameters), Linkage.STATIC, tags)


def tracepoint(name: str) -> Typedef:
    return Typedef(f"btf_trace_{name}", Pointer(FunctionPrototype(Void(), ())))


def struct(name: str, **members: int) -> Struct:
    """A struct of ints, each at the byte offset given."""
    size = max(members.values(), default=0) + 4
    return Struct(name, size, [Member(member, INT, offset * 8) for member, offset in members.items()])


def enum(name: str, values: Mapping[str, int]) -> Enum:
    return Enum(name, enumerators=[Enumerator(each, value) for each, value in values.items()])


def btf_of(types: Iterable[Type], byte_order: Literal["little", "big"] = "little", base: Btf | None = None) -> Btf:
    builder = BtfBuilder(byte_order=byte_order)
    for each in types:
        builder.add(each)
    return Btf.from_bytes(builder.encode(), base)


def make_kernel(
    *types: Type,
    name: str = "made up",
    helpers: int = 211,
    program_types: Iterable[ProgramType] = tuple(ProgramType),
    map_types: Iterable[MapType] = tuple(MapType),
    attach_types: Iterable[AttachType] = tuple(AttachType),
    byte_order: Literal["little", "big"] = "little",
    modules: Mapping[str, Btf] | None = None,
    config: Mapping[str, str] | None = None,
    symbols: frozenset[str] | None = None,
    version: tuple[int, int, int] | None = None,
) -> TargetKernel:
    """A kernel that has the enums of the newest, less what is left out, and *types*."""
    known = list(program_types)
    contexts = struct("bpf_ctx_convert", **{f"BPF_PROG_TYPE_{each.name}_prog": 4 * i for i, each in enumerate(known)})
    enums = [
        enum("bpf_prog_type", {f"BPF_PROG_TYPE_{each.name}": each for each in known}),
        enum("bpf_map_type", {f"BPF_MAP_TYPE_{each.name}": each for each in map_types}),
        enum("bpf_attach_type", {f"BPF_{each.name}": each for each in attach_types}),
        enum("bpf_func_id", {f"BPF_FUNC_{i}": i for i in range(1, helpers + 1)} | {"__BPF_FUNC_MAX_ID": helpers + 1}),
    ]
    everything = [INT, contexts, struct("bpf_kfunc_desc_tab", nr_descs=0), *enums, *types]
    return TargetKernel(
        name, btf_of(everything, byte_order), modules=modules, config=config, symbols=symbols, version=version
    )


def folders() -> list[Path]:
    """Where kernels' BTFs are: what is kept of them here, and, where there is such a folder, whole ones."""
    whole = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
    return [KERNELS] if whole is None else [KERNELS, whole]


@pytest.fixture(scope="session", params=folders(), ids=lambda folder: "reduced" if folder == KERNELS else "whole")
def real_kernel(request: pytest.FixtureRequest) -> Callable[..., TargetKernel]:
    """``real_kernel("5.10")``: the kernel whose file's name begins so, and has the words after it in it (amd64)."""
    folder: Path = request.param

    @cache
    def find(version: str, *words: str) -> TargetKernel:
        found = [
            path for path in folder.glob(f"{version}.*.btf*") if all(word in path.name for word in words or ("amd64",))
        ]
        assert found, f"{folder} has no BTF of {version} {' '.join(words)}"
        return TargetKernel.from_files(found[0])

    return find


@pytest.fixture(scope="module")
def pins() -> Iterator[str]:
    """A bpffs for maps that want to be pinned."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
        stack.callback(subprocess.run, ["umount", folder], check=True)
        os.mkdir(f"{folder}/maps")
        yield f"{folder}/maps"
