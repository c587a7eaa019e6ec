"""Whole objects: loaded all or nothing, live, and left without a trace."""

from __future__ import annotations

import errno
import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

import aiobpf
from aiobpf.btf import minimal_btf
from aiobpf.errors import (
    BtfError,
    ClosedError,
    CodecError,
    ElfError,
    KernelError,
    NotSupportedError,
    SpecError,
    UnresolvedSymbolError,
)
from aiobpf.kernel.ids import ObjectKind, all_ids, map_by_id, program_by_id
from aiobpf.kernel.info import map_info, program_info
from aiobpf.kernel.release import kernel_version_code
from aiobpf.runtime import map_create
from aiobpf.spec import core_relocations

from .objects import map_kinds, subprograms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiobpf.kernel import OwnedFd

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    where.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


def pins(bpffs: Path) -> list[str]:
    """What is pinned there, without the iterators that a kernel with CONFIG_BPF_PRELOAD puts there itself."""
    return sorted(path.name for path in bpffs.iterdir() if not path.name.endswith(".debug"))


async def test_an_object_file_becomes_a_collection() -> None:
    async with aiobpf.load(OBJECTS / "ring_events.bpf.o") as coll:
        assert "events" in coll.maps
        assert coll.maps["events"] is coll.maps.events
        assert coll.programs["produce"].type == aiobpf.ProgramType.SOCKET_FILTER
        await coll.programs.produce.run(PACKET)
        assert coll.variables.produced.value == 1
    assert coll.is_closed
    assert coll.maps["events"].is_closed


async def test_bytes_and_specs_load_like_paths() -> None:
    data = (OBJECTS / "ring_events.bpf.o").read_bytes()
    async with aiobpf.load(data) as coll:
        assert "produce" in coll.programs
    spec = aiobpf.read_spec(data)
    spec.variables["burst"].value = 5
    async with aiobpf.load(spec) as coll:
        await coll.programs["produce"].run(PACKET)
        assert coll.variables["produced"].value == 5
        assert coll.variables["burst"].value == 5


async def test_loading_never_changes_the_spec() -> None:
    whole = [aiobpf.read_spec(OBJECTS / f"{name}.bpf.o") for name in ("globals", "core", "ring_events", "newer_types")]
    for spec in (subprograms(), *whole):
        before = spec.copy()
        async with aiobpf.load(spec):
            pass
        async with aiobpf.load(spec):
            pass
        assert spec == before


async def test_a_map_that_is_not_to_be_created_is_not_there() -> None:
    spec = aiobpf.read_spec(OBJECTS / "globals.bpf.o")
    spec.maps[".data.custom"].autocreate = False
    async with aiobpf.load(spec, programs=[]) as coll:
        assert ".data.custom" not in coll.maps
        assert "custom" not in coll.variables
        assert "enabled" in coll.variables
    with pytest.raises(UnresolvedSymbolError, match=r"'count' refers to map '\.data\.custom', which is not there"):
        await aiobpf.load(spec)


async def test_variables_are_live_and_typed() -> None:
    async with aiobpf.load(OBJECTS / "globals.bpf.o") as coll:
        variables = coll.variables
        assert variables["min_duration_ns"].value == 1000
        assert variables["target"].value == "init"
        assert variables["enabled"].value is True
        assert variables["custom"].value == -5
        assert variables["port"].value == 8080
        assert (variables["limits"].value.low, variables["limits"].value.high) == (1, 0x1000)
        assert variables["mode"].value.name == "MODE_ON"

        await coll.programs["count"].run(PACKET)
        assert variables["zero"].value == 0x1001
        assert variables["late"].value == 1
        assert sum(variables["counters"].value) == 1000

        variables["enabled"].value = False
        await coll.programs["count"].run(PACKET)
        assert variables["late"].value == 1

        variables["limits"].value = {"low": 2, "high": 3}
        variables["enabled"].value = True
        await coll.programs["count"].run(PACKET)
        assert variables["zero"].value == 0x1001 + 5


async def test_constants_are_set_before_and_refused_after_the_load() -> None:
    spec = aiobpf.read_spec(OBJECTS / "globals.bpf.o")
    spec.variables["min_duration_ns"].value = 7
    async with aiobpf.load(spec) as coll:
        await coll.programs["count"].run(PACKET)
        assert sum(coll.variables["counters"].value) == 7
        with pytest.raises(CodecError, match=r"min_duration_ns.*spec"):
            coll.variables["min_duration_ns"].value = 8
        with pytest.raises(CodecError, match=r"^variable '\w+': "):
            coll.variables["custom"].value = 1 << 70


async def test_names_that_are_not_there_come_with_a_suggestion() -> None:
    async with aiobpf.load(OBJECTS / "ring_events.bpf.o") as coll:
        with pytest.raises(KeyError, match="did you mean 'events'"):
            coll.maps["event"]
        with pytest.raises(AttributeError):
            coll.programs.nothing
        with pytest.raises(SpecError, match="no map 'nope'"):
            coll.stream("nope")


async def test_an_error_in_the_middle_leaves_nothing() -> None:
    def of_the_object() -> set[tuple[str, int]]:
        return {("map", id_) for id_ in all_ids(ObjectKind.MAP) if _name(map_by_id, map_info, id_) == "table"} | {
            ("program", id_)
            for id_ in all_ids(ObjectKind.PROGRAM)
            if _name(program_by_id, program_info, id_) in {"unchecked", "accepted"}
        }

    before = of_the_object()
    with pytest.raises(aiobpf.VerifierError, match="'unchecked'"):
        await aiobpf.Collection.load(OBJECTS / "rejected.bpf.o")
    for _ in range(200):  # what is closed goes with the next grace period of RCU
        if of_the_object() <= before:
            return
        await anyio.sleep(0.01)
    pytest.fail(f"left in the kernel: {of_the_object() - before}")


def _name(by_id: Callable[[int], OwnedFd], info: Callable[[OwnedFd], Any], id_: int) -> str:
    try:
        with by_id(id_) as fd:
            return str(info(fd).name)
    except FileNotFoundError:  # gone meanwhile
        return ""


async def test_only_the_programs_that_are_asked_for_load() -> None:
    async with aiobpf.load(OBJECTS / "rejected.bpf.o", programs=["accepted"]) as coll:
        assert list(coll.programs) == ["accepted"]
    with pytest.raises(SpecError, match="'absent'"):
        await aiobpf.Collection.load(OBJECTS / "rejected.bpf.o", programs=["absent"])


async def test_a_program_array_of_programs_that_were_not_chosen(bpffs: Path) -> None:
    """Empty where no chosen program uses it, an error with the way out where one does."""
    spec = map_kinds()
    async with aiobpf.load(spec, programs=["tail_one"], pin_path=bpffs) as coll:
        assert list(coll.programs) == ["tail_one"]
        with pytest.raises(KeyError):
            coll.maps["programs"][3]
    with pytest.raises(SpecError, match="'programs' is to hold program 'tail_one', which was not chosen"):
        await aiobpf.Collection.load(spec, programs=["use"], pin_path=bpffs)
    async with aiobpf.load(spec, programs=["use", "tail_one", "tail_two"], pin_path=bpffs):
        pass


@pytest.mark.requires("loops")
async def test_a_replaced_map_is_used_and_survives_every_load() -> None:
    """cilium/ebpf issues 515, 517 and 522: replacing must not close or spoil a map, in any order of loads."""
    spec = subprograms()
    async with aiobpf.load(spec) as first:
        table = first.maps["table"]
        table[1] = 10
        async with aiobpf.load(spec, replace_maps={"table": table}) as second:
            second.maps["table"][2] = 20
            await second.programs["loops"].run(PACKET)
            assert second.variables["total"].value >= 30
        assert table[2] == 20
        async with aiobpf.load(spec) as third:
            assert list(third.maps["table"]) == []
        assert dict(table.items()) == {1: 10, 2: 20}
    with pytest.raises(ClosedError):
        await aiobpf.Collection.load(spec, replace_maps={"table": table})


async def test_a_replacement_that_does_not_fit_is_refused_with_each_difference() -> None:
    spec = subprograms()
    other = spec.maps["table"].copy()
    other.max_entries, other.value_size, other.value = 5, 4, None
    async with aiobpf.Map.create(other) as wrong:
        with pytest.raises(SpecError, match=r"value_size 4 instead of 8, max_entries 5 instead of 16"):
            await aiobpf.Collection.load(spec, replace_maps={"table": wrong})
    with pytest.raises(SpecError, match="'tabel'"):
        await aiobpf.Collection.load(spec, replace_maps={"tabel": wrong})


async def test_static_contents_of_map_in_map_and_program_arrays(bpffs: Path) -> None:
    async with aiobpf.load(map_kinds(), pin_path=bpffs) as coll:
        outer = coll.maps["outer_array"]
        async with outer[0] as inner:
            inner.update(0, 5)
            assert coll.maps["inner_0"][0] == 5
        with pytest.raises(KeyError):
            outer[1]
        assert (await coll.programs["use"].run(PACKET)).retval == 1  # XDP_DROP, by the tail call to tail_one
        assert coll.maps["inner_0"][0] == 6


async def test_maps_are_pinned_where_libbpf_does_if_nobody_says(bpffs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert map_create.DEFAULT_PIN_PATH == "/sys/fs/bpf"
    monkeypatch.setattr(map_create, "DEFAULT_PIN_PATH", str(bpffs))
    async with aiobpf.load(map_kinds()) as coll:
        assert coll.maps["pinned"].pin_path == str(bpffs / "pinned")
    assert pins(bpffs) == ["pinned"]


async def test_maps_pinned_by_name_are_found_again(bpffs: Path) -> None:
    spec = map_kinds()
    async with aiobpf.load(spec, pin_path=bpffs) as coll:
        coll.maps["pinned"][1] = 11
    assert pins(bpffs) == ["pinned"]
    async with aiobpf.load(spec, pin_path=bpffs) as coll:
        assert coll.maps["pinned"][1] == 11
    other = spec.copy()
    other.maps["pinned"].max_entries = 9
    with pytest.raises(SpecError, match="max_entries 8 instead of 9"):
        await aiobpf.Collection.load(other, pin_path=bpffs)


async def test_a_load_that_fails_takes_its_pins_back(bpffs: Path) -> None:
    spec = map_kinds()
    spec.programs["use"].instructions.replace_operation(0, aiobpf.asm.ldx(8, aiobpf.asm.R0, aiobpf.asm.R9))
    with pytest.raises(aiobpf.VerifierError):
        await aiobpf.Collection.load(spec, pin_path=bpffs)
    assert pins(bpffs) == []


async def test_pinning_where_no_bpffs_is_says_how_to_mount_one(tmp_path: Path) -> None:
    with pytest.raises(aiobpf.KernelError, match="mount -t bpf"):
        await aiobpf.Collection.load(map_kinds(), pin_path=tmp_path)


async def test_detached_objects_outlive_the_collection() -> None:
    async with aiobpf.load(subprograms()) as coll:
        table = coll.detach(coll.maps["table"])
        with pytest.raises(SpecError, match="does not belong"):
            coll.detach(table)
    table[3] = 33
    assert table[3] == 33
    await table.aclose()


async def test_a_typed_class_is_filled_by_name() -> None:
    @attrs.define
    class Objects:
        table: aiobpf.Map
        first: aiobpf.Program
        total: aiobpf.Variable

    class Plain:
        table: aiobpf.Map

    class Wrong:
        first: aiobpf.Map

    async with aiobpf.load(subprograms()) as coll:
        bound = coll.bind(Objects)
        assert bound.table is coll.maps["table"]
        assert bound.first is coll.programs["first"]
        assert bound.total is coll.variables["total"]
        assert coll.bind(Plain).table is bound.table
        with pytest.raises(SpecError, match="no map 'first'"):
            coll.bind(Wrong)


@pytest.mark.requires("kernel configuration")
async def test_kernel_configuration_is_read_into_kconfig() -> None:
    async with aiobpf.load(OBJECTS / "externs.bpf.o", programs=["configuration"]) as coll:
        async with coll.attach():
            for _ in range(50):
                os.getppid()
        seen = coll.variables["seen"].value
    assert seen[0] == kernel_version_code()
    assert seen[1] in {100, 250, 300, 1000}
    assert seen[2] == 1
    assert seen[3] in {0, 1, 2}
    assert seen[4] != 0
    assert seen[5] == 0


async def test_given_options_come_before_the_kernels_configuration() -> None:
    options: dict[str, str | int | None] = {
        "CONFIG_HZ": 77,
        "CONFIG_BPF_SYSCALL": "n",
        "CONFIG_IPV6": "m",
        "CONFIG_CC_VERSION_TEXT": '"Q"',
        "CONFIG_NO_SUCH_OPTION": True,
    }
    text = 'CONFIG_HZ=77\nCONFIG_BPF_SYSCALL=n\nCONFIG_IPV6=m\nCONFIG_CC_VERSION_TEXT="Q"\nCONFIG_NO_SUCH_OPTION=y\n'
    either: tuple[dict[str, str | int | None] | str, ...] = (options, text)
    for given in either:
        async with aiobpf.load(OBJECTS / "externs.bpf.o", programs=["configuration"], kconfig=given) as coll:
            async with coll.attach():
                for _ in range(50):
                    os.getppid()
            assert coll.variables["seen"].value == [kernel_version_code(), 77, 0, 2, ord("Q"), 1]


@pytest.mark.requires("task kfuncs")
async def test_kernel_functions_are_called_and_weak_ones_may_be_missing() -> None:
    async with aiobpf.load(OBJECTS / "externs.bpf.o", programs=["functions"]) as coll:
        assert (await coll.programs["functions"].run()).retval == 0


async def test_a_missing_strong_extern_is_named() -> None:
    spec = aiobpf.read_spec(OBJECTS / "externs.bpf.o")
    program = spec.programs["functions"]
    from aiobpf.spec import EXTERN

    index = next(i for i, extern in program.instructions.with_key(EXTERN) if extern.name == "bpf_task_from_pid")
    extern = program.instructions.get_metadata(index, EXTERN)
    assert extern is not None
    program.instructions.set_metadata(index, EXTERN, attrs.evolve(extern, name="bpf_task_from_nowhere"))
    with pytest.raises(UnresolvedSymbolError, match="bpf_task_from_nowhere"):
        await aiobpf.Collection.load(spec, programs=["functions"])


async def test_a_foreign_byte_order_is_refused_with_nothing_loaded() -> None:
    with pytest.raises(NotSupportedError, match="big-endian"):
        await aiobpf.Collection.load(OBJECTS / "globals.eb.bpf.o")


async def test_kernel_types_may_come_from_a_file(tmp_path: Path) -> None:
    copy = tmp_path / "vmlinux.btf"
    copy.write_bytes(Path("/sys/kernel/btf/vmlinux").read_bytes())
    compressed = tmp_path / "vmlinux.btf.gz"
    compressed.write_bytes(gzip.compress(copy.read_bytes(), 1))
    for path in (copy, compressed):
        async with aiobpf.load(OBJECTS / "core.bpf.o", kernel_btf=path):
            pass
    with pytest.raises(aiobpf.BtfError, match="absent"):
        await aiobpf.Collection.load(OBJECTS / "core.bpf.o", kernel_btf=tmp_path / "absent.btf")
    copy.write_bytes(b"not BTF at all, whatever its name may say")
    with pytest.raises(aiobpf.BtfError):
        await aiobpf.Collection.load(OBJECTS / "core.bpf.o", kernel_btf=copy)


async def test_an_object_runs_with_the_few_types_that_it_needs(tmp_path: Path) -> None:
    spec = aiobpf.read_spec(OBJECTS / "core.bpf.o")
    small = tmp_path / "small.btf"
    small.write_bytes(minimal_btf([core_relocations(spec)], await aiobpf.kernel_btf()).raw)
    assert small.stat().st_size < 4096
    answers = []
    for types in (None, small):
        async with aiobpf.load(spec, programs=["ask"], kernel_btf=types) as coll, coll.attach():
            for _ in range(50):
                os.getppid()
            answer = coll.variables["answer"].value
            assert answer.pid != 0
            # The id of task_struct is another one among so few.
            answers.append((answer.flags, answer.numbers[:4], answer.numbers[6:]))
    assert answers[0] == answers[1]


async def test_files_that_are_no_objects_have_named_errors(tmp_path: Path) -> None:
    bad = tmp_path / "bad.o"
    bad.write_bytes(b"\x7fELF and then nothing")
    with pytest.raises(ElfError):
        await aiobpf.Collection.load(bad)
    with pytest.raises(FileNotFoundError):
        await aiobpf.Collection.load(tmp_path / "absent.o")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"replace_maps": {"table": 5}}, r"replace_maps\['table'\] is a Map, not 5"),
        ({"attach_programs": {"first": "x"}}, r"attach_programs\['first'\] is a Program, not 'x'"),
        ({"kernel_btf": 3}, "kernel_btf is a Btf or the path of a file, not 3"),
        ({"kernel_btf": "/nowhere/vmlinux"}, "kernel_btf: .*'/nowhere/vmlinux'"),
        ({"token": 1.5}, 'token is a descriptor of a BPF token, the directory of a bpffs or "auto", not 1.5'),
        ({"log": 2}, "log is a LogPolicy, not 2"),
        ({"programs": ["frist"]}, "no program 'frist'"),
        ({"programs": "first"}, r"programs=\['first'\]"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_an_option_that_is_none_is_named_before_anything_is_loaded(options: dict[str, Any], match: str) -> None:
    spec = aiobpf.read_spec(OBJECTS / "core.bpf.o") if isinstance(options.get("kernel_btf"), str) else subprograms()
    with pytest.raises((SpecError, BtfError), match=match):
        await aiobpf.Collection.load(spec, **options)


@pytest.mark.parametrize("options", [{"level": 0}, {"level": 8}, {"size": 0}, {"max_size": 1 << 30}])
def test_a_log_that_no_kernel_writes_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="a number from"):
        aiobpf.LogPolicy(**options)


async def test_a_program_that_the_kernel_refuses_without_a_word_says_why() -> None:
    spec = subprograms()
    spec.programs["first"].flags = 1 << 30
    with pytest.raises(KernelError, match=r"program 'first': .*its flags have 0x40000000"):
        await aiobpf.Collection.load(spec, programs=["first"])
    spec.programs["first"].instructions.clear()
    with pytest.raises(SpecError, match="program 'first' has no instructions"):
        await aiobpf.Collection.load(spec, programs=["first"])


async def test_what_is_no_attach_kind_is_named() -> None:
    async with aiobpf.load(subprograms(), programs=["first"]) as coll:
        with pytest.raises(SpecError, match="'xdp' is no attach kind"):
            await coll.programs["first"].attach("xdp")  # type: ignore[arg-type]


async def test_a_forgotten_collection_warns_and_leaks_nothing() -> None:
    coll = await aiobpf.Collection.load(OBJECTS / "ring_events.bpf.o")
    forgotten = [coll]
    del coll
    with pytest.warns(ResourceWarning, match="Collection"):
        forgotten.clear()


async def test_using_a_closed_collection_is_a_named_error() -> None:
    coll = await aiobpf.Collection.load(OBJECTS / "ring_events.bpf.o")
    await coll.aclose()
    await coll.aclose()
    for use in (coll.attach, lambda: coll.stream("events"), lambda: coll.variables["produced"].value):
        with pytest.raises(ClosedError):
            use()


async def test_automatic_attach_is_all_or_nothing_and_seen_to_work() -> None:
    async with aiobpf.load(OBJECTS / "core.bpf.o", programs=["ask"]) as coll:
        async with coll.attach() as attached:
            assert list(attached.links) == ["ask"]
            for _ in range(50):
                os.getppid()
            first = coll.variables["answer"].value
            assert first.pid != 0
        blank = {
            "numbers": [0] * 8,
            "comm": "",
            "parent": 0,
            "pid": 0,
            "total_vm": 0,
            "state": 0,
            "flags": 0,
            "bits": 0,
        }
        coll.variables["answer"].value = blank
        os.getppid()
        assert coll.variables.answer.value.pid == 0  # detached: it no longer runs


async def test_a_collection_without_a_place_to_attach_says_so() -> None:
    async with aiobpf.load(OBJECTS / "ring_events.bpf.o") as coll:
        with pytest.raises(SpecError, match="produce"):
            await coll.attach()


async def test_missing_privileges_name_the_capability() -> None:
    """In a child that gave up its capabilities: this process needs its own."""
    script = (
        "import asyncio, os, aiobpf, anyio._backends._asyncio, anyio.to_thread\n"
        "aiobpf.Collection  # imports what loads: nobody may read it afterwards, where Python is in a home directory\n"
        f"spec = aiobpf.read_spec({str(OBJECTS / 'ring_events.bpf.o')!r})\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "async def main():\n"
        "    try:\n"
        "        await aiobpf.Collection.load(spec)\n"
        "    except aiobpf.MissingPrivilegeError as error:\n"
        "        print(error.errno, error.capability, error)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{errno.EPERM} CAP_BPF"), done.stdout + done.stderr
