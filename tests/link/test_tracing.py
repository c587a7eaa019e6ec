"""fentry, fexit, fmod_ret, fsession and their links of many: arguments seen, results changed, until they are closed."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aiobpf
from aiobpf.btf import Btf, Function
from aiobpf.errors import BpfError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.link import Fentry, FentryMulti, FexitMulti, FmodRet, Fsession, FsessionMulti
from aiobpf.link.tracing_multi import is_traceable
from aiobpf.runtime import Program
from aiobpf.uapi import LinkType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import NetworkPair

OBJECT = Path(__file__).parent.parent / "objects" / "tracing.bpf.o"

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


def this_thread() -> int:
    return os.getpid() << 32 | threading.get_native_id()


@pytest.mark.requires("trampolines")
@pytest.mark.shows("fexit_args")
async def test_fexit_sees_arguments_and_result() -> None:
    async with aiobpf.load(OBJECT, programs=["see_arguments"]) as coll:
        seen = coll.variables
        async with coll.attach():
            await coll.programs["see_arguments"].run()
            assert (seen["first"].value, seen["second"].value, seen["result"].value) == (2, 3, 5)
        seen["result"].value = 0
        await coll.programs["see_arguments"].run()
        assert seen["result"].value == 0


@pytest.mark.requires("sleepable fentry")
@pytest.mark.shows("fentry_sleepable")
async def test_a_sleepable_fentry_program_reads_user_memory(calls_getpgid: Callable[[int], None]) -> None:
    memory = ctypes.create_string_buffer(b"/a/path", 16)
    async with aiobpf.load(OBJECT, programs=["copy_in_fentry"]) as coll:
        seen = coll.variables
        seen["thread"].value = this_thread()
        seen["user"].value = ctypes.addressof(memory)
        async with coll.attach():
            calls_getpgid(1)
            assert seen["text"].value == "/a/path"
        calls_getpgid(1)
        assert seen["count"].value == 1


@pytest.mark.requires("fsession")
@pytest.mark.shows("fsession")
async def test_fsession_sees_entry_and_return_until_it_is_closed(calls_getpgid: Callable[[int], None]) -> None:
    async with aiobpf.load(OBJECT, programs=["see_both"]) as coll:
        seen = coll.variables
        seen["thread"].value = this_thread()
        async with coll.programs["see_both"].attach(Fsession("do_getpgid")):
            calls_getpgid(3)
            assert seen["count"].value == 6
        calls_getpgid(3)
        assert seen["count"].value == 6


@pytest.mark.requires("fentry.multi")
@pytest.mark.shows("fentry_multi")
async def test_one_link_traces_many_functions_until_it_is_closed(calls_getpgid: Callable[[int], None]) -> None:
    names = ["see_many", "see_many_returns", "see_both_of_many"]
    async with aiobpf.load(OBJECT, programs=names) as coll:
        seen = coll.variables
        seen["thread"].value = this_thread()
        async with coll.attach("see_many", "see_many_returns"):
            calls_getpgid(3)
            assert (seen["count"].value, seen["returns"].value) == (3, 3)
        both = coll.programs["see_both_of_many"]
        async with both.attach(FsessionMulti("do_getp*id")) as link:
            calls_getpgid(3)
            assert seen["count"].value == 9
            assert (await link.info()).type == LinkType.TRACING_MULTI
        many = coll.programs["see_many"]
        async with many.attach(FentryMulti(functions=["do_getpgid", "vfs_read"], cookies=[5, 6])) as link:
            calls_getpgid(1)
            assert seen["count"].value == 10
            assert sorted((await link.info()).cookies or [5, 6]) == [5, 6]
        calls_getpgid(3)
        assert (seen["count"].value, seen["returns"].value) == (10, 3)
        async with many.attach(FentryMulti("vfs_*")):
            before = seen["count"].value
            os.stat("/")
            assert seen["count"].value > before


@pytest.mark.requires("fentry.multi", "modules")
async def test_one_link_traces_many_functions_of_a_module(network: NetworkPair) -> None:
    async with aiobpf.load(OBJECT, programs=["see_module"]) as coll:
        seen = coll.variables["count"]
        async with coll.attach():
            assert network.datagram_arrives()
            assert seen.value
        after = seen.value
        assert network.datagram_arrives()
        assert seen.value == after
        with pytest.raises(SpecError, match="loaded for functions of module 'veth', not of the kernel"):
            await coll.programs["see_module"].attach(FentryMulti("vfs_*"))


@pytest.mark.requires("fentry.multi")
async def test_functions_that_one_link_cannot_trace_are_named() -> None:
    async with aiobpf.load(OBJECT, programs=["see_many"]) as coll:
        program = coll.programs["see_many"]
        with pytest.raises(UnresolvedSymbolError, match=r"no function 'vfs_raed'; near: .*vfs_read"):
            await program.attach(FentryMulti(functions=["vfs_raed"]))
        with pytest.raises(UnresolvedSymbolError, match="no traceable function like 'vfs_raed"):
            await program.attach(FentryMulti("vfs_raed*"))
        with pytest.raises(SpecError, match=r"loaded as TRACE_FENTRY_MULTI, not as fexit\.multi"):
            await program.attach(FexitMulti("vfs_*"))


@pytest.mark.requires("fmod_ret on tests")
@pytest.mark.shows("fmod_ret_test")
async def test_fmod_ret_puts_its_own_result_in_the_place_of_a_call() -> None:
    async with aiobpf.load(OBJECT, programs=["change_test"]) as coll:
        program = coll.programs["change_test"]
        untouched = (await program.run()).retval & 0xFFFF
        async with program.attach(FmodRet("bpf_modify_return_test")):
            changed = (await program.run()).retval & 0xFFFF
            assert changed - untouched == 1260 - 4, "of itself it returns 1 + 3"
            assert coll.variables["count"].value == 1
        assert (await program.run()).retval & 0xFFFF == untouched


@pytest.mark.requires("trampolines")
@pytest.mark.shows("fmod_ret_security")
async def test_fmod_ret_refuses_what_a_security_function_would_allow(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    async with aiobpf.load(OBJECT, programs=["change_open"]) as coll:
        seen = coll.variables
        seen["thread"].value = this_thread()
        link = await coll.programs["change_open"].attach(FmodRet("security_file_open"))
        seen["is_denied"].value = 1
        try:
            with pytest.raises(PermissionError):
                os.open(file, os.O_RDONLY)
        finally:
            seen["is_denied"].value = 0
        assert seen["count"].value >= 1
        await link.aclose()
        seen["is_denied"].value = 1
        os.close(os.open(file, os.O_RDONLY))


@pytest.mark.shows("tp_btf_task")
async def test_a_new_task_is_seen_with_its_pid() -> None:
    async with aiobpf.load(OBJECT, programs=["see_task"]) as coll:
        seen = coll.variables
        seen["thread"].value = this_thread()
        async with coll.attach():
            with subprocess.Popen(["/bin/true"]) as child:
                pass
            assert seen["first"].value == child.pid
        after = seen["count"].value
        subprocess.run(["/bin/true"], check=True)
        assert seen["count"].value == after


@pytest.mark.shows("tp_sched")
async def test_a_programs_start_is_seen_until_the_link_is_closed() -> None:
    async with aiobpf.load(OBJECT, programs=["see_process"]) as coll:
        seen = coll.variables["count"]
        async with coll.attach():
            subprocess.run(["/bin/true"], check=True)
            assert seen.value >= 1
        after = seen.value
        subprocess.run(["/bin/true"], check=True)
        assert seen.value == after


@pytest.mark.requires("kprobes")
@pytest.mark.shows("ksyscall", "kprobe_perf")
async def test_probes_by_section_have_their_arguments(tmp_path: Path) -> None:
    async with aiobpf.load(OBJECT, programs=["see_call", "see_open"]) as coll:
        seen = coll.variables
        seen["thread"].value = this_thread()
        async with coll.attach("see_call"):
            with pytest.raises(ProcessLookupError):
                os.getpgid(2**30)
            assert (seen["count"].value, seen["first"].value) == (1, 2**30)
        async with coll.attach("see_open"):
            seen["is_denied"].value = 1
            os.close(os.open(tmp_path, os.O_RDONLY))
            seen["is_denied"].value = 0
            assert seen["first"].value == -100, "AT_FDCWD"
        with pytest.raises(ProcessLookupError):
            os.getpgid(2**30)
        assert seen["first"].value == -100


@pytest.mark.parametrize(
    ("program", "feature", "since"),
    [
        ("see_arguments", "trampolines", None),
        ("change_open", "trampolines", None),
        ("see_both", "fsession", "7.0"),
        ("see_many", "fentry.multi", "7.2"),
        ("see_many_returns", "fentry.multi", "7.2"),
        ("see_both_of_many", "fentry.multi", "7.2"),
    ],
)
async def test_a_kind_loads_or_what_the_kernel_lacks_is_said(program: str, feature: str, since: str | None) -> None:
    spec = aiobpf.read_spec(OBJECT).programs[program]
    if kernel_has(feature):
        async with Program.load(spec):
            return
    with pytest.raises(NotSupportedError, match=r"refuses trampolines|attach type") as caught:
        await Program.load(spec)
    assert caught.value.since == since
    assert "CAP_" not in str(caught.value)


def test_the_functions_of_many_are_said_in_one_way() -> None:
    for wrong in ({}, {"pattern": "a*", "functions": ["b"]}):
        with pytest.raises(SpecError, match="say either a pattern"):
            FentryMulti(**wrong)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="2 values for 1 functions"):
        FsessionMulti(functions="a", cookies=[1, 2])
    with pytest.raises(SpecError, match="of one module"):
        FentryMulti(functions=["a", "veth:b"])._module()


def test_functions_whose_arguments_no_trampoline_passes_on_are_known(vmlinux: Btf) -> None:
    assert is_traceable(vmlinux.by_name("vfs_read", Function))
    variadic: Any = vmlinux.all_by_name("_printk", Function) or vmlinux.all_by_name("printk", Function)
    assert not is_traceable(variadic[0])


async def test_a_program_is_not_moved_to_another_kind_after_its_load() -> None:
    if not kernel_has("trampolines"):
        with pytest.raises(BpfError, match="refuses trampolines"):
            await Program.load(aiobpf.read_spec(OBJECT).programs["change_open"])
        return
    async with Program.load(aiobpf.read_spec(OBJECT).programs["change_open"]) as program:
        with pytest.raises(SpecError, match="loaded as MODIFY_RETURN, not as fentry"):
            await program.attach(Fentry("security_file_open"))
