"""The same objects through libbpf: programs, maps and every instruction that would be loaded.

`libbpf_oracle.c` is compiled against the distribution's libbpf and against the newest (`tests.libbpf.oracles`); it
replaces bpf(2), so nothing is loaded and no privilege is needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from aiobpf.asm import REFERENCE
from aiobpf.btf import Btf, CoreRelocator, DataSection, relocate_instructions
from aiobpf.compatibility import TargetKernel, Verdict, check
from aiobpf.elf import read_spec
from aiobpf.spec import EXTERN, ExternKind, core_relocations
from aiobpf.uapi import MapType, ProgramType
from tests.kernel_btfs import kernel_btfs, name_of, read_btf
from tests.libbpf.oracles import ORACLES, Libbpf, NoLibbpfError

if TYPE_CHECKING:
    from aiobpf.spec import CollectionSpec, MapSpec, ProgramSpec
    from tests.foreign_objects import ForeignObject

KERNEL = Path("/sys/kernel/btf/vmlinux")
OTHER_KERNELS = [path for path in kernel_btfs() if path.name.startswith(("5.10", "7.3"))]
"""The oldest and the newest of those at hand."""
MMAPABLE = 1 << 10
"""libbpf asks for it when it opens an object; here the loader does."""
REFUSED = {
    "qemu-system-x86_64": "libbpf 1.0 dropped maps without BTF",
    "legacy_extra": "libbpf 1.0 dropped maps without BTF",
    "legacy_maps": "libbpf 1.0 dropped maps without BTF",
    "local_scope": "libbpf has no static maps and no static functions in a program's section",
}
NEWER = {
    "arena": "libbpf knows arenas since 1.4",
    "arena_strict": "libbpf knows arenas since 1.4",
    "sched_ext": "libbpf knows .struct_ops.link since 1.2",
    "struct_ops": "libbpf knows .struct_ops.link since 1.2, members that the kernel lacks and '?' sections since 1.5",
}
"""What the libbpf of the machine (Debian 12: 1.1) does not know: asked of the newest alone."""
NEWER_SECTIONS = frozenset({"sk_skb/verdict", "fsession", "fentry.multi", "fexit.multi", "fsession.multi"})
"""Sections that libbpf knows since 1.5, 1.7 and 1.8; to an older one they are of no type."""


@frozen
class Oracle:
    """libbpf_oracle.c over one version of libbpf."""

    libbpf: Libbpf
    binary: Path

    def ask(self, path: Path, kernel: Path = KERNEL) -> dict[str, Any]:
        """What it makes of the object at *path*, and of its programs against the types in *kernel*."""
        run = subprocess.run([self.binary, path, kernel], check=True, capture_output=True, text=True)
        answer: dict[str, Any] = json.loads(run.stdout)
        return answer


def oracle_over(name: str, folder: Path) -> Oracle:
    if not KERNEL.exists():
        pytest.skip(f"no {KERNEL} to relocate against")
    try:
        libbpf = ORACLES[name]()
        libbpf.compile(Path(__file__).with_name("libbpf_oracle.c"), folder / "oracle")
    except NoLibbpfError as error:
        pytest.skip(str(error))
    return Oracle(libbpf, folder / "oracle")


@pytest.fixture(scope="session", params=list(ORACLES))
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Each version of libbpf."""
    return oracle_over(request.param, tmp_path_factory.mktemp("oracle"))


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """The newest libbpf."""
    return oracle_over("newest", tmp_path_factory.mktemp("oracle"))


@pytest.fixture(scope="session")
def kernel() -> Btf:
    return Btf.from_file(KERNEL)


def test_objects_of_others_are_what_libbpf_says(
    installed: ForeignObject, oracle: Oracle, kernel: Btf, tmp_path: Path
) -> None:
    compare_foreign(installed, oracle, kernel, tmp_path)


def test_objects_of_a_newer_release_are_what_the_newest_libbpf_says(
    newer: ForeignObject, newest: Oracle, kernel: Btf, tmp_path: Path
) -> None:
    compare_foreign(newer, newest, kernel, tmp_path)


def compare_foreign(foreign: ForeignObject, oracle: Oracle, kernel: Btf, folder: Path) -> None:
    path = folder / "object.bpf.o"
    path.write_bytes(foreign.content)
    answer = oracle.ask(path)
    if foreign.name in REFUSED:
        assert "error" in answer, REFUSED[foreign.name]
    else:
        compare(read_spec(path), answer, kernel)


@pytest.fixture(scope="module", params=OTHER_KERNELS, ids=name_of)
def other_kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Btf]:
    """The types of a kernel that does not run, as a file that libbpf reads."""
    btf = read_btf(request.param)
    path = tmp_path_factory.mktemp("kernel") / "vmlinux"
    path.write_bytes(btf.raw)
    return path, btf


def test_core_for_a_kernel_that_does_not_run_is_what_libbpf_makes_of_it(
    installed: ForeignObject, other_kernel: tuple[Path, Btf], newest: Oracle, kernel: Btf, tmp_path: Path
) -> None:
    path = tmp_path / "object.bpf.o"
    path.write_bytes(installed.content)
    spec = read_spec(path)
    if core_relocations(spec):
        path_of_kernel, other = other_kernel
        compare(spec, newest.ask(path, path_of_kernel), other, refused_here(spec, kernel))


def test_own_objects_are_what_libbpf_says(own_object: Path, oracle: Oracle, kernel: Btf) -> None:
    name, _, is_swapped = own_object.name.removesuffix(".bpf.o").partition(".")
    if not oracle.libbpf.is_newest and (name in NEWER or is_swapped):
        return  # libbpf opens objects of the other byte order since 1.6
    answer = oracle.ask(own_object)
    if name in REFUSED:
        assert "error" in answer, REFUSED[name]
        return
    compare(read_spec(own_object), answer, kernel)


def compare(
    spec: CollectionSpec, answer: dict[str, Any], kernel: Btf, refused: frozenset[str | None] = frozenset()
) -> None:
    """Maps, programs, and each instruction of a program that libbpf loads: it opens the other byte order, no more.

    *refused* are programs that the running kernel has no target for, where *kernel* is another.
    """
    names = {each["name"]: map_name(each["name"], spec) for each in answer["maps"]}
    assert set(names.values()) == spec.maps.keys()
    for each in answer["maps"]:
        compare_map(spec.maps[names[each["name"]]], each, spec)
    assert [each["name"] for each in answer["programs"]] == list(spec.programs)
    refused |= refused_here(spec, kernel)
    for each in answer["programs"]:
        program = spec.programs[each["name"]]
        if each["type"] == 0 and is_newer_section(program.section):
            continue
        compare_program(program, each)
        if spec.byte_order != sys.byteorder:
            continue
        if each["loaded"] is not None:
            fds = {int(fd): names[name] for fd, name in each["loaded"]["maps"].items()}
            compare_code(program, bytes.fromhex(each["loaded"]["code"]), fds, kernel)
        elif program.autoload and program.type != ProgramType.STRUCT_OPS:  # whose map needs programs beside this one
            assert program.name in refused, f"libbpf does not load {program.name}"


def is_newer_section(section: str) -> bool:
    name = section.removeprefix("?")
    return name in NEWER_SECTIONS or name.partition("/")[0] in NEWER_SECTIONS


def refused_here(spec: CollectionSpec, kernel: Btf) -> frozenset[str | None]:
    """The programs that want something of this kernel that it has not, as `aiobpf.check` finds."""
    (report,) = check(spec, TargetKernel("this kernel", kernel, modules={})).kernels
    return frozenset(finding.program for finding in report.findings if finding.verdict is Verdict.REFUSED)


def map_name(name: str, spec: CollectionSpec) -> str:
    """libbpf's names of data sections' maps begin with the object's, and are cut to 15 characters."""
    if name in spec.maps:
        return name
    suffix = "." + name.split(".", 1)[1]
    return next(each for each in spec.maps if each.startswith(suffix))


def compare_map(mine: MapSpec, theirs: dict[str, Any], spec: CollectionSpec) -> None:
    def type_id(which: object) -> int:
        if which is None or spec.types is None:
            return 0
        if isinstance(which, DataSection):
            return theirs["value_type"]  # type: ignore[no-any-return]
        return spec.types.id_of(which)  # type: ignore[arg-type]

    flags = theirs["flags"] & ~MMAPABLE if theirs["internal"] else theirs["flags"]
    is_of_section = mine.section is not None and mine.type != MapType.STRUCT_OPS
    assert {
        "type": int(mine.type), "key_size": mine.key_size, "value_size": mine.value_size,
        "max_entries": mine.max_entries, "flags": int(mine.flags), "numa_node": mine.numa_node or 0,
        "map_extra": mine.map_extra, "inner": mine.inner is not None, "pin": bool(mine.pinning),
        "key_type": type_id(mine.key), "value_type": type_id(mine.value), "internal": is_of_section,
        "name": theirs["name"],
    } == theirs | {"flags": flags}, mine.name  # fmt: skip


def compare_program(mine: ProgramSpec, theirs: dict[str, Any]) -> None:
    assert mine.section == theirs["section"]
    assert int(mine.type) == theirs["type"]
    assert int(mine.attach_type or 0) == theirs["attach_type"]
    if mine.type:  # a program of no type is loaded by libbpf, and refused
        assert mine.autoload == theirs["autoload"]
    # libbpf adds the flags that the section asks for when it loads.
    assert mine.flags & theirs["flags"] == theirs["flags"]


def compare_code(program: ProgramSpec, theirs: bytes, fds: dict[int, str], kernel: Btf) -> None:
    instructions = program.instructions.copy()
    relocate_instructions(instructions, CoreRelocator([kernel], byte_order=program.byte_order))
    mine = instructions.encode(program.byte_order)
    assert len(mine) == len(theirs), program.name
    from_kernel = {
        instructions.slot_of(index)
        for index, extern in instructions.with_key(EXTERN)
        if extern.kind is not ExternKind.KCONFIG
    }
    references = {instructions.slot_of(index): each.name for index, each in instructions.with_key(REFERENCE)}
    slots = iter(range(len(mine) // 8))
    for slot in slots:
        ours, other = mine[slot * 8 : slot * 8 + 8], theirs[slot * 8 : slot * 8 + 8]
        where = f"{program.name}, slot {slot}: {ours.hex()} against {other.hex()}"
        if slot in from_kernel:  # ids and addresses that the loader fills in
            assert ours[0] == other[0], where
            if ours[0] == 0x18:
                next(slots)
        elif ours[0] == 0x18 and ours[1] >> 4 in {1, 2}:
            assert ours[:4] == other[:4], where
            assert fds[int.from_bytes(other[4:], "little")] == references[slot], where
            following = next(slots)
            assert mine[following * 8 : following * 8 + 8] == theirs[following * 8 : following * 8 + 8], where
        else:
            assert ours == other, where
