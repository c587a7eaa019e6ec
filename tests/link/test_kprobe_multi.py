"""One program on many kernel functions, and on system calls by their name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf.errors import KernelError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.kernel.kallsyms import Kallsyms
from aiobpf.link import Kprobe, KprobeMulti, KprobeSession, Kretprobe, KretprobeMulti, Kretsyscall, Ksyscall
from aiobpf.link.kernel_functions import functions_like
from aiobpf.link.kernel_probe import wrapper_of
from aiobpf.link.ksyscall import functions_of
from aiobpf.uapi import AttachType, LinkType, ProgramType
from tests.kernel_features import kernel_has

from .test_kprobe import events_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Counted, Counters

pytestmark = pytest.mark.root


def multi(counters: Counters, attach_type: AttachType = AttachType.TRACE_KPROBE_MULTI, **options: Any) -> Counted:
    return counters(ProgramType.KPROBE, attach_type, only_pid=os.getpid(), **options)


@pytest.mark.everywhere
@pytest.mark.requires("kprobe.multi")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(KprobeMulti, marks=pytest.mark.shows("kprobe_multi")),
        pytest.param(KretprobeMulti, marks=pytest.mark.shows("kretprobe_multi")),
    ],
)
async def test_one_link_sees_every_kernel_function_like_a_pattern_until_it_is_closed(
    counters: Counters, calls_getpgid: Callable[[int], None], kind: type[KprobeMulti | KretprobeMulti]
) -> None:
    seen = multi(counters)
    async with seen.program.attach(kind("*do_getpg*")) as link:
        calls_getpgid(3)
        assert seen.count == 3
        info = await link.info()
        assert (info.type, info.program_id) == (LinkType.KPROBE_MULTI, (await seen.program.info()).id)
    calls_getpgid(3)
    assert seen.count == 3


@pytest.mark.everywhere
@pytest.mark.requires("kprobe.multi")
async def test_a_pattern_reaches_functions_by_the_hundred(counters: Counters) -> None:
    seen = multi(counters)
    async with seen.program.attach(KprobeMulti("vfs_*")) as link:
        before = seen.count
        os.stat("/")
        assert seen.count > before
        assert ((await link.info()).count or 50) >= 50


@pytest.mark.everywhere
@pytest.mark.requires("kprobe.multi")
async def test_symbols_addresses_and_system_calls_each_have_their_cookie(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    seen = multi(counters, with_cookie=True)
    async with seen.program.attach(KprobeMulti(symbols=["sys_getsid", "sys_getpgid"], cookies=[5, 7])):
        calls_getpgid(1)
        assert (seen.count, seen.cookie) == (1, 7)
        os.getsid(0)
        assert (seen.count, seen.cookie) == (2, 5)
    name = wrapper_of("sys_getpgid") or "sys_getpgid"
    address = Kallsyms.read().address_of(name)
    async with seen.program.attach(KprobeMulti(addresses=address, cookies=9)):
        calls_getpgid(1)
        assert (seen.count, seen.cookie) == (3, 9)


@pytest.mark.everywhere
@pytest.mark.shows("kprobe_session")
@pytest.mark.requires("kprobe.session")
async def test_a_session_sees_entry_and_return_until_it_is_closed(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    seen = multi(counters, AttachType.TRACE_KPROBE_SESSION)
    async with seen.program.attach(KprobeSession("do_getpgid*")):
        calls_getpgid(3)
        assert seen.count == 6
    calls_getpgid(3)
    assert seen.count == 6


@pytest.mark.everywhere
@pytest.mark.requires("kprobe.session")
async def test_a_session_whose_program_returns_1_sees_no_return(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    seen = counters(ProgramType.KPROBE, AttachType.TRACE_KPROBE_SESSION, retval=1)
    async with seen.program.attach(KprobeSession("do_getpgid")):
        calls_getpgid(3)
        assert seen.count == 3


@pytest.mark.everywhere
@pytest.mark.requires("kprobes")
@pytest.mark.parametrize("kind", [KprobeMulti, KretprobeMulti])
async def test_a_kernel_without_such_links_makes_a_kprobe_each_where_that_is_asked_for(
    counters: Counters, calls_getpgid: Callable[[int], None], kind: type[KprobeMulti | KretprobeMulti]
) -> None:
    seen = multi(counters)
    async with seen.program.attach(kind("do_getpg*", mode="either")):
        calls_getpgid(3)
        assert seen.count == 3
    calls_getpgid(3)
    assert seen.count == 3
    assert events_left() == []


@pytest.mark.everywhere
@pytest.mark.requires("kprobes")
async def test_kprobes_one_by_one_are_as_many_as_the_functions(
    counters: Counters, calls_getpgid: Callable[[int], None]
) -> None:
    seen = counters(ProgramType.KPROBE, only_pid=os.getpid())
    async with seen.program.attach(KprobeMulti(symbols=["sys_getpgid", "do_getpgid"], mode="singles")) as link:
        calls_getpgid(2)
        assert seen.count == 4
        with pytest.raises(NotSupportedError, match=r"2 links, one a place|no bpf link"):
            link.fileno()
    with pytest.raises(UnresolvedSymbolError, match="no function 'vfs_raed'"):
        await seen.program.attach(KprobeMulti(symbols=["do_getpgid", "vfs_raed"], mode="singles"))
    calls_getpgid(2)
    assert seen.count == 4, "of what failed in the middle nothing is left"


@pytest.mark.everywhere
@pytest.mark.parametrize(
    ("kind", "attach_type"),
    [
        (KprobeMulti("do_getpg*"), AttachType.TRACE_KPROBE_MULTI),
        (KretprobeMulti("vfs_read"), AttachType.TRACE_KPROBE_MULTI),
        (KprobeSession("vfs_read"), AttachType.TRACE_KPROBE_SESSION),
    ],
    ids=repr,
)
async def test_such_a_link_is_made_or_what_the_kernel_lacks_is_said(
    counters: Counters, kind: Any, attach_type: AttachType
) -> None:
    word = "kprobe.session" if isinstance(kind, KprobeSession) else "kprobe.multi"
    seen = multi(counters, attach_type)
    if kernel_has(word):
        async with seen.program.attach(kind):
            return
    with pytest.raises(NotSupportedError, match=f"{word} links needs Linux") as caught:
        await seen.program.attach(kind)
    assert caught.value.since == {"kprobe.multi": "5.18", "kprobe.session": "6.10"}[word]


@pytest.mark.everywhere
@pytest.mark.requires("kprobe.multi")
async def test_what_cannot_be_traced_is_named(counters: Counters) -> None:
    program = multi(counters).program
    with pytest.raises(UnresolvedSymbolError, match=r"no function 'vfs_raed'; near: .*vfs_read"):
        await program.attach(KprobeMulti("vfs_raed"))
    with pytest.raises(KernelError, match="not where a function begins"):
        await program.attach(KprobeMulti(addresses=[1]))
    plain = counters(ProgramType.KPROBE).program
    with pytest.raises(SpecError, match=r"its section is to be 'kprobe\.multi'"):
        await plain.attach(KprobeMulti("vfs_read"))


@pytest.mark.everywhere
async def test_a_pattern_that_no_function_is_like_is_named(counters: Counters) -> None:
    with pytest.raises(
        UnresolvedSymbolError, match=r"'counting': this kernel has no traceable function like 'vfs_raed\*'"
    ):
        await multi(counters).program.attach(KprobeMulti("vfs_raed*"))
    with pytest.raises(UnresolvedSymbolError, match="module 'no_such' has no traceable function"):
        await multi(counters).program.attach(KprobeMulti("no-such:*"))


def test_a_pattern_gives_each_function_once_with_its_address() -> None:
    found = functions_like("vfs_*")
    names = {function.name for function in found}
    assert {"vfs_read", "vfs_write"} <= names
    assert [each.address for each in found] == sorted({each.address for each in found})
    symbols = Kallsyms.read()
    (read,) = (each for each in found if each.name == "vfs_read")
    place = symbols.at(read.address)
    assert place is not None
    assert place[0] == symbols.lookup("vfs_read")[0]
    assert place[1] <= 8, "a landing pad may be before it"


def test_the_places_are_said_in_one_way() -> None:
    for wrong in ({}, {"pattern": "a*", "symbols": ["b"]}, {"symbols": ["a"], "addresses": [1]}):
        with pytest.raises(SpecError, match="say either a pattern"):
            KprobeMulti(**wrong)
    with pytest.raises(SpecError, match="2 values for 1 functions"):
        KprobeMulti(symbols="a", cookies=[1, 2])
    with pytest.raises(SpecError, match="2 values for who knows how many"):
        KprobeMulti("a*", cookies=[1, 2])


@pytest.mark.everywhere
@pytest.mark.requires("kprobes")
@pytest.mark.shows("ksyscall")
@pytest.mark.parametrize("mode", ["auto", "tracefs"])
@pytest.mark.parametrize("kind", [Ksyscall, Kretsyscall])
async def test_a_system_call_counts_by_its_name_until_it_is_closed(
    counters: Counters, calls_getpgid: Callable[[int], None], kind: type[Ksyscall | Kretsyscall], mode: str
) -> None:
    seen = counters(ProgramType.KPROBE, only_pid=os.getpid())
    async with seen.program.attach(kind("getpgid", mode=mode)):
        calls_getpgid(3)
        assert seen.count == 3
    calls_getpgid(3)
    assert seen.count == 3
    assert events_left() == []


@pytest.mark.everywhere
@pytest.mark.requires("kprobes")
async def test_a_system_call_that_is_not_there_is_named(counters: Counters) -> None:
    with pytest.raises(UnresolvedSymbolError, match="no system call 'getpgidd'"):
        await counters(ProgramType.KPROBE).program.attach(Ksyscall("getpgidd"))


def test_a_system_call_is_another_function_on_each_architecture() -> None:
    assert functions_of("openat", "x86_64") == ["__x64_sys_openat", "__se_sys_openat"]
    assert functions_of("openat", "s390x")[0] == "__s390x_sys_openat"
    assert functions_of("openat", "alpha") == ["__se_sys_openat"]


@pytest.mark.everywhere
@pytest.mark.requires("kprobes", "veth as a module")
@pytest.mark.shows("kprobe_module")
@pytest.mark.parametrize("kind", [Kprobe, Kretprobe])
async def test_a_function_of_a_module_counts_until_it_is_closed(
    counters: Counters, network: Any, kind: type[Kprobe | Kretprobe]
) -> None:
    seen = counters(ProgramType.KPROBE)
    async with seen.program.attach(kind("veth_xmit")):
        assert network.datagram_arrives()
        assert seen.count
    after = seen.count
    assert network.datagram_arrives()
    assert seen.count == after
