"""Addresses to functions: of processes that live and that are gone, of the kernel, of stacks that programs took."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import aiobpf
from aiobpf.errors import ClosedError, MapKeyError, MissingPrivilegeError, SpecError
from aiobpf.kernel.kallsyms import Kallsyms
from aiobpf.kernel.worker import worker_limiter
from aiobpf.symbols import Frame, Symbolizer, folded, parse_addresses, stack_of
from aiobpf.symbols.kernel_symbols import KernelSymbols
from aiobpf.symbols.mappings import file_mappings

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Target

OBJECT = Path(__file__).parent.parent / "objects" / "stacks.bpf.o"
GETPGID = 121

pytestmark = pytest.mark.everywhere


async def test_addresses_of_a_process_are_its_functions(target: Target, target_binary: Path) -> None:
    async with Symbolizer() as symbolizer:
        frames = await symbolizer.user(target.pid, [target.inner, target.outer + 5, target.main + 5])
    assert [frame.symbol for frame in frames] == ["inner", "outer", "main"]
    assert [frame.offset for frame in frames] == [0, 5, 5]
    assert {frame.binary for frame in frames} == {str(target_binary)}
    assert len(frames[0].build_id) == 20
    assert str(frames[1]) == f"outer+0x5 ({target_binary})"


async def test_a_process_that_was_captured_is_resolved_after_its_end(
    start: Callable[..., Target], target_binary: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "gone"
    shutil.copy(target_binary, copy)
    target = start(copy)
    async with Symbolizer() as symbolizer:
        assert await symbolizer.capture(target.pid)
        target.end()
        copy.unlink()
        assert [frame.symbol for frame in await symbolizer.user(target.pid, [target.inner])] == ["inner"]
        (frame,) = await Symbolizer().user(target.pid, [target.inner])
        assert "is gone, and was not captured" in frame.problem
        assert frame.name == f"{target.inner:#x}"
        assert not await Symbolizer().capture(target.pid)


async def test_a_process_that_nobody_has_waited_for_is_what_it_was(target: Target) -> None:
    """It has its number and when it began, and no mappings any more."""
    async with Symbolizer() as symbolizer:
        assert await symbolizer.capture(target.pid)
        target.process.kill()
        with anyio.fail_after(30):
            while b") Z " not in Path(f"/proc/{target.pid}/stat").read_bytes():  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert [frame.symbol for frame in await symbolizer.user(target.pid, [target.inner])] == ["inner"]


async def test_a_file_that_was_deleted_is_read_while_it_runs(
    start: Callable[..., Target], target_binary: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "deleted"
    shutil.copy(target_binary, copy)
    target = start(copy)
    copy.unlink()
    shutil.copy("/bin/true", copy)  # another file has its name
    async with Symbolizer() as symbolizer:
        assert [frame.symbol for frame in await symbolizer.user(target.pid, [target.inner])] == ["inner"]


async def test_functions_of_a_library_are_those_that_dlsym_says() -> None:
    libc = ctypes.CDLL(None)
    names = ["malloc", "qsort", "getenv", "pthread_create"]
    addresses = [ctypes.cast(getattr(libc, name), ctypes.c_void_p).value or 0 for name in names]
    async with Symbolizer() as symbolizer:
        frames = [(await symbolizer.user(os.getpid(), [address]))[0] for address in addresses]
    for name, frame in zip(names, frames, strict=True):
        assert frame.symbol.partition("@")[0].lstrip("_").removeprefix("libc_") == name
        assert frame.offset == 0


async def test_a_stripped_binary_has_its_functions_from_its_debug_file(
    start: Callable[..., Target], target_binary: Path, tmp_path: Path
) -> None:
    stripped, debug = tmp_path / "stripped", tmp_path / "target.debug"
    subprocess.run(["objcopy", "--only-keep-debug", str(target_binary), str(debug)], check=True)
    subprocess.run(["strip", "-o", str(stripped), str(target_binary)], check=True)
    target = start(stripped)
    async with Symbolizer() as symbolizer:
        (frame,) = await symbolizer.user(target.pid, [target.inner])
        assert frame.symbol == ""
        assert frame.problem
        assert frame.name.startswith("stripped+0x")
    target.end()
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", str(stripped)], check=True)
    target = start(stripped)
    async with Symbolizer() as symbolizer:
        assert (await symbolizer.user(target.pid, [target.inner]))[0].symbol == "inner"


async def test_compiled_code_is_known_by_the_map_that_its_process_writes(target: Target) -> None:
    path = Path(f"/tmp/perf-{target.pid}.map")
    path.write_text("7f0000001000 20 js:work\nbroken\n7f0000001020 10 js:other name\n")
    try:
        async with Symbolizer() as symbolizer:
            frames = await symbolizer.user(target.pid, [0x7F0000001004, 0x7F0000001025, 0x7F0000002000])
    finally:
        path.unlink()
    assert [frame.symbol for frame in frames] == ["js:work", "js:other name", ""]
    assert frames[0].binary == "[jit]"
    assert frames[2].problem == "no file is mapped there"


async def test_another_program_in_the_same_process_is_seen(target_binary: Path) -> None:
    script = (
        f"import sys, os; print('ready', flush=True); sys.stdin.readline(); os.execv({str(target_binary)!r}, ['t'])"
    )
    process = subprocess.Popen(
        ["python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        async with Symbolizer() as symbolizer:
            await symbolizer.capture(process.pid)
            process.stdin.write("go\n")
            inner = int(process.stdout.readline().split()[0], 16)
            assert (await symbolizer.user(process.pid, [inner]))[0].symbol == "inner"
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


async def test_the_kernels_code_for_user_space_has_names() -> None:
    from aiobpf.symbols.mappings import parse_vdso, read_mappings
    from aiobpf.symbols.process import own_vdso

    place, image = parse_vdso(read_mappings(None)), own_vdso()
    if place is None or image is None:
        pytest.skip("no vdso here")
    address = next(at for at in range(place.start, place.stop, 16) if image.at(at - place.start))
    async with Symbolizer() as symbolizer:
        (frame,) = await symbolizer.user(os.getpid(), [address])
    assert frame.binary == "[vdso]"
    assert frame.symbol


async def test_few_processes_and_files_are_kept(start: Callable[..., Target]) -> None:
    async with Symbolizer(processes=2, files=3) as symbolizer:
        for _ in range(4):
            assert await symbolizer.capture(start().pid)
        assert len(symbolizer._processes) == 2
        assert len(symbolizer._files) <= 3


async def test_a_file_that_was_dropped_for_others_is_read_again_or_missed_by_name(
    start: Callable[..., Target], target_binary: Path, tmp_path: Path
) -> None:
    copies = [tmp_path / name for name in ("first", "second")]
    for copy in copies:
        shutil.copy(target_binary, copy)
    first, second = start(copies[0]), start(copies[1])
    async with Symbolizer(files=1) as symbolizer:
        for target in (first, second, first):
            assert [frame.symbol for frame in await symbolizer.user(target.pid, [target.inner])] == ["inner"]
            assert len(symbolizer._files) == 1
        second.end()
        copies[1].unlink()
        (frame,) = await symbolizer.user(second.pid, [second.inner])
    assert frame.name.startswith("second+0x")
    assert frame.problem == "it was dropped for others (files=1), and is gone"


async def test_a_symbolizer_at_work_leaves_the_threads_that_links_are_closed_in() -> None:
    async with Symbolizer() as symbolizer, anyio.create_task_group() as tasks:
        with symbolizer._lock:  # a file system that does not answer
            for _ in range(20):
                tasks.start_soon(symbolizer.capture, os.getpid())
            await anyio.sleep(0.2)
            assert worker_limiter().borrowed_tokens == 0


async def test_what_a_process_was_before_exec_is_still_known(target_binary: Path, tmp_path: Path) -> None:
    script = f"echo ready; read go; exec {target_binary}"
    process = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        shell = next(each for each in file_mappings(process.pid) if each.is_executable)
        async with Symbolizer() as symbolizer:
            assert await symbolizer.capture(process.pid)
            process.stdin.write("go\n")
            process.stdin.flush()
            inner = int(process.stdout.readline().split()[0], 16)
            frames = await symbolizer.user(process.pid, [inner, shell.start + 0x100])
        assert frames[0].symbol == "inner"
        assert frames[1].binary == shell.path
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


async def test_an_address_that_nothing_is_at_is_not_looked_for_each_time(target: Target) -> None:
    async with Symbolizer() as symbolizer:
        await symbolizer.user(target.pid, [0x1234])
        known = symbolizer._processes[target.pid]
        for _ in range(20):
            (frame,) = await symbolizer.user(target.pid, [0x1234])
            assert frame.problem == "no file is mapped there"
        again = symbolizer._processes[target.pid]
    assert again is known or again._read_at - known._read_at > 1


@pytest.mark.root
async def test_a_program_that_came_after_the_first_stack_has_its_name() -> None:
    async with Symbolizer() as symbolizer:
        await symbolizer.kernel([0x1234])  # kallsyms is read
        async with aiobpf.load(OBJECT) as coll:
            names = {f"bpf_prog_{(await each.info()).tag}_{name}"[:127] for name, each in coll.programs.items()}
            rows = [line.split() for line in Path("/proc/kallsyms").read_text().splitlines()]
            ours = {int(row[0], 16): row[2] for row in rows if row[2] in names}
            assert ours
            for address, name in ours.items():
                (frame,) = await symbolizer.kernel([address + 4])
                assert (frame.symbol, frame.offset, frame.binary) == (name, 4, "[bpf]")


async def test_the_last_function_of_the_kernel_does_not_name_all_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_text("ffffffff81000000 T first\nffffffff81001000 T last\nffffffffc0000000 t there\t[module]\n")
    symbols = KernelSymbols(path)
    addresses = [0xFFFFFFFF81000FFF, 0xFFFFFFFF81001010, 0xFFFFFFFFB0000000, 0xFFFFFFFFC0000008, 0xFFFFFFFFD0000000]
    assert [frame.symbol for frame in symbols.frames(addresses, addresses)] == ["first", "last", "", "there", ""]


async def test_hidden_addresses_of_the_kernel_are_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_text("0000000000000000 T first\n0000000000000000 t there\t[module]\n")
    with pytest.raises(MissingPrivilegeError, match="CAP_SYSLOG"):
        KernelSymbols(path).frames([1], [1])


async def test_a_closed_symbolizer_says_so_and_a_cancelled_one_goes_on() -> None:
    symbolizer = Symbolizer()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await symbolizer.capture(os.getpid())
    assert await symbolizer.capture(os.getpid())
    await symbolizer.aclose()
    await symbolizer.aclose()
    with pytest.raises(ClosedError):
        await symbolizer.capture(os.getpid())


@pytest.mark.root
async def test_addresses_of_the_kernel_are_those_of_kallsyms() -> None:
    symbols = Kallsyms.read()
    wanted = ["vfs_read", "do_exit", "schedule"]
    addresses = [symbols.lookup(name)[0].address for name in wanted]
    async with Symbolizer() as symbolizer:
        frames = await symbolizer.kernel([addresses[0], addresses[1] + 6, addresses[2] + 6])
        (nowhere,) = await symbolizer.kernel([0x1234])
    assert [(frame.symbol, frame.offset, frame.binary) for frame in frames] == [
        ("vfs_read", 0, "[kernel]"), ("do_exit", 6, "[kernel]"), ("schedule", 6, "[kernel]"),
    ]  # fmt: skip
    assert nowhere.problem


@pytest.mark.root
@pytest.mark.shows("stack_trace")
async def test_the_stacks_that_a_program_took_are_resolved(target: Target) -> None:
    async with aiobpf.load(OBJECT) as coll, coll.attach(), Symbolizer() as symbolizer:
        coll.variables["number"].value = GETPGID if os.uname().machine == "x86_64" else 155
        coll.variables["target"].value = target.pid
        with anyio.fail_after(60):
            while coll.variables["user_id"].value < 0:  # noqa: ASYNC110 - the program does not tell
                await anyio.sleep(0.01)
        await symbolizer.capture(target.pid)
        target.end()
        stacks = coll.maps["stacks"]
        user = await symbolizer.stack(stacks, coll.variables["user_id"].value, pid=target.pid)
        kernel = await symbolizer.stack(coll.maps["kernel_stacks"], coll.variables["kernel_id"].value)
        by_id = await symbolizer.stack(coll.maps["build_ids"], coll.variables["build_id"].value, pid=target.pid)
        taken = [address for address in coll.variables["addresses"].value if address]
        places = stack_of(coll.maps["build_ids"], coll.variables["build_id"].value)
        assert await symbolizer.user(target.pid, places) == by_id
        with pytest.raises(SpecError, match="-14"):
            await symbolizer.stack(stacks, -14)
        with pytest.raises(MapKeyError):
            await symbolizer.stack(stacks, next(each for each in range(64) if stacks.lookup_bytes(each) is None))
    names = [frame.symbol for frame in user]
    assert names[names.index("inner") : names.index("inner") + 3] == ["inner", "outer", "main"]
    assert taken[: len(user)] == [frame.address for frame in user]
    assert [frame.symbol for frame in kernel if frame.symbol]
    assert all(frame.binary.startswith("[") for frame in kernel)
    named = [frame.symbol for frame in by_id]
    assert named[named.index("inner") : named.index("inner") + 3] == ["inner", "outer", "main"]
    line = folded(kernel, user, root="target;1")
    assert line.startswith("target:1;")
    assert "main;outer;inner;" in f"{line};"


def test_bytes_of_a_stack_end_at_the_first_zero() -> None:
    assert parse_addresses((5).to_bytes(8, "little") + bytes(8) + b"\1" * 8 + b"xx") == [5]


def test_names_of_any_text_stay_one_frame() -> None:
    assert folded([Frame(1, "a;b\nc")]) == "a:b c"


async def test_threads_share_one_symbolizer(target: Target) -> None:
    seen: list[str] = []
    async with Symbolizer() as symbolizer, anyio.create_task_group() as tasks:

        async def look() -> None:
            seen.extend(frame.symbol for frame in await symbolizer.user(target.pid, [target.inner]))

        for _ in range(20):
            tasks.start_soon(look)
    assert seen == ["inner"] * 20
    assert threading.active_count() < 100
