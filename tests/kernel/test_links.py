"""Links, perf events and tracefs of the running kernel: each shows an effect, and its end."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf import asm
from aiobpf.errors import BpfError, KernelError, MissingPrivilegeError, NotSupportedError
from aiobpf.kernel import (
    MapElements,
    OwnedFd,
    Tracefs,
    create_map,
    iter_create,
    link_by_id,
    link_create,
    link_detach,
    link_info,
    link_iter,
    link_kprobe_multi,
    link_netfilter,
    link_relative,
    link_update,
    link_uprobe_multi,
    load_program,
    perf_events,
    prog_attach,
    prog_detach,
    prog_query,
    program_info,
    raw_tracepoint_open,
)
from aiobpf.kernel import tracefs as tracefs_module
from aiobpf.kernel.btf import KernelBtfCache
from aiobpf.kernel.mounts import CGROUP2_MAGIC, filesystem_magic, mounts, private_mount
from aiobpf.uapi import AttachType, LinkType, MapType, ProgramType
from tests.kernel_features import kernel_has

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.root


class Counter:
    """A map of one number, and programs that add 1 to it."""

    def __init__(self, map_fd: OwnedFd) -> None:
        self.elements = MapElements(map_fd, 4, 8)
        self.code = asm.Instructions(
            [
                asm.st(4, asm.R10, -4, 0),
                asm.mov(asm.R2, asm.R10),
                asm.add(asm.R2, -4),
                asm.load_map_ptr(asm.R1, "counter", map_fd.fileno()),
                asm.call_helper(1),
                asm.jeq(asm.R0, 0, 2),
                asm.mov(asm.R1, 1),
                asm.atomic_add(8, asm.R0, asm.R1),
                asm.mov(asm.R0, 1),
                asm.exit_(),
            ]
        ).encode()

    def __call__(self) -> int:
        found = self.elements.lookup(bytes(4))
        assert found is not None
        number: int = struct.unpack("=Q", found)[0]
        return number


@pytest.fixture
def counter() -> Iterator[Counter]:
    with create_map(MapType.ARRAY, 4, 8, 1) as fd:
        yield Counter(fd)


@pytest.fixture
def cgroup() -> Iterator[tuple[Path, int]]:
    """A new cgroup of version 2 and a descriptor of it."""
    root = next((place for place in mounts("cgroup2") if filesystem_magic(place) == CGROUP2_MAGIC), None)
    if root is None:
        pytest.skip("no cgroup2 is mounted")
    path = Path(root) / f"aiobpf-test-{os.getpid()}"
    path.mkdir()
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield path, fd
    finally:
        os.close(fd)
        path.rmdir()


# --- raw tracepoints and tracing programs -----------------------------------------------------------------------------


def test_a_raw_tracepoint_counts_until_it_is_closed(counter: Counter) -> None:
    with load_program(ProgramType.RAW_TRACEPOINT, counter.code) as program:
        with raw_tracepoint_open("sys_enter", program) as link:
            os.getppid()
            assert counter() > 0
            info = link_info(link)
            assert (info.type, info.name, info.program_id) == (
                LinkType.RAW_TRACEPOINT,
                "sys_enter",
                program_info(program).id,
            )
            with link_by_id(info.id) as again:
                assert link_info(again) == info
        before = counter()
        os.getppid()
        assert counter() == before


def test_a_tracepoint_that_is_not_there_is_named(make_program: Callable[..., OwnedFd]) -> None:
    with pytest.raises(KernelError, match=r"raw tracepoint 'nothing': BPF_RAW_TRACEPOINT_OPEN: .* \(ENOENT\)"):
        raw_tracepoint_open("nothing", make_program(ProgramType.RAW_TRACEPOINT), subject="raw tracepoint 'nothing'")


@pytest.mark.requires("tp_btf links")
def test_tp_btf_by_the_kernels_types(counter: Counter) -> None:
    from aiobpf.btf import Typedef

    cache = KernelBtfCache()
    found = cache.find("btf_trace_sys_enter", Typedef)
    assert found is not None
    with (
        load_program(
            ProgramType.TRACING,
            counter.code,
            expected_attach_type=AttachType.TRACE_RAW_TP,
            attach_btf_id=found.type_id,
            attach_btf=found.btf_fd,
        ) as program,
        link_create(program, None, AttachType.TRACE_RAW_TP, cookie=5) as link,
    ):
        os.getppid()
        assert counter() > 0
        info = link_info(link)
        assert (info.type, info.name) == (LinkType.RAW_TRACEPOINT, "sys_enter")


def test_an_iterator_reads_and_ends() -> None:
    from aiobpf.btf import Function

    found = KernelBtfCache().find("bpf_iter_bpf_map", Function)
    assert found is not None
    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    with (
        load_program(
            ProgramType.TRACING, code, expected_attach_type=AttachType.TRACE_ITER, attach_btf_id=found.type_id
        ) as program,
        link_iter(program) as link,
        iter_create(link) as iterator,
    ):
        assert os.read(iterator.fileno(), 100) == b""
        info = link_info(link)
        assert (info.type, info.name) == (LinkType.ITER, "bpf_map")


# --- links on interfaces and cgroups ----------------------------------------------------------------------------------


def test_an_xdp_link_updates_and_detaches(make_program: Callable[..., OwnedFd]) -> None:
    first, second = make_program(ProgramType.XDP, 2), make_program(ProgramType.XDP, 2)
    lo = 1
    with link_create(first, lo, AttachType.XDP, flags=2) as link:  # generic mode
        info = link_info(link)
        assert (info.type, info.ifindex, info.program_id) == (LinkType.XDP, lo, program_info(first).id)
        link_update(link, second)
        assert link_info(link).program_id == program_info(second).id
        with pytest.raises(KernelError, match=r"link 'mine': BPF_LINK_UPDATE: .* \(EPERM\)"):
            link_update(link, second, expected=first, subject="link 'mine'")
        link_update(link, first, expected=second)
        link_detach(link)
        assert link_info(link).ifindex == 0


def test_a_cgroup_link_is_queried(cgroup: tuple[Path, int], counter: Counter) -> None:
    _, fd = cgroup
    kind = AttachType.CGROUP_INET_EGRESS
    with (
        load_program(ProgramType.CGROUP_SKB, counter.code, expected_attach_type=kind) as program,
        link_create(program, fd, kind) as link,
    ):
        info = link_info(link)
        assert (info.type, info.attach_type) == (LinkType.CGROUP, kind)
        assert info.cgroup_id == os.fstat(fd).st_ino
        assert prog_query(fd, kind).program_ids == (program_info(program).id,)
    assert prog_query(fd, kind).program_ids == ()


def test_attached_without_a_link_it_stays_until_it_is_detached(
    cgroup: tuple[Path, int], make_program: Callable[..., OwnedFd]
) -> None:
    _, fd = cgroup
    kind = AttachType.CGROUP_INET_EGRESS
    programs = [make_program(ProgramType.CGROUP_SKB, 1, expected_attach_type=kind) for _ in range(70)]
    allow_multi = 2
    for program in programs[:60]:
        prog_attach(program, fd, kind, flags=allow_multi)
    assert prog_query(fd, kind).program_ids == tuple(program_info(program).id for program in programs[:60])
    prog_attach(programs[60], fd, kind, flags=allow_multi, replace=programs[0])
    assert program_info(programs[60]).id in prog_query(fd, kind).program_ids
    for program in programs[1:61]:
        prog_detach(program, fd, kind)
    assert prog_query(fd, kind).program_ids == ()
    with pytest.raises(KernelError, match="ENOENT"):
        prog_detach(programs[0], fd, kind)


def test_a_query_finds_more_room_when_there_are_many(
    cgroup: tuple[Path, int], make_program: Callable[..., OwnedFd], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiobpf.kernel import links

    _, fd = cgroup
    kind = AttachType.CGROUP_INET_EGRESS
    monkeypatch.setattr(links, "_QUERY_ROOM", 2)
    programs = [make_program(ProgramType.CGROUP_SKB, 1, expected_attach_type=kind) for _ in range(5)]
    with contextlib.ExitStack() as stack:
        for program in programs:
            stack.enter_context(link_create(program, fd, kind))
        assert len(prog_query(fd, kind).program_ids) == 5


@pytest.mark.requires("tcx")
def test_tcx_links_stand_in_order(make_program: Callable[..., OwnedFd]) -> None:
    lo, before = 1, 1 << 3  # BPF_F_BEFORE
    kind = AttachType.TCX_INGRESS
    first, second = (make_program(ProgramType.SCHED_CLS, -1, expected_attach_type=kind) for _ in range(2))
    with link_relative(first, lo, kind) as last, link_relative(second, lo, kind, flags=before, relative=first) as link:
        assert prog_query(lo, kind).program_ids == (program_info(second).id, program_info(first).id)
        info = link_info(link)
        assert (info.type, info.ifindex, info.attach_type) == (LinkType.TCX, lo, kind)
        assert link_info(last).program_id == program_info(first).id
        with pytest.raises(KernelError, match="ESTALE"):
            link_relative(second, lo, kind, expected_revision=1 << 40)


@pytest.mark.requires("netfilter programs")
def test_a_netfilter_link(make_program: Callable[..., OwnedFd]) -> None:
    program = make_program(ProgramType.NETFILTER, 1, expected_attach_type=AttachType.NETFILTER)
    with link_netfilter(program, 2, 1, -128) as link:  # IPv4, local in
        info = link_info(link)
        assert (info.type, info.family, info.hook, info.priority) == (LinkType.NETFILTER, 2, 1, -128)


def test_a_kind_that_fits_no_program_is_refused(make_program: Callable[..., OwnedFd]) -> None:
    with pytest.raises(KernelError, match="XDP link: BPF_LINK_CREATE"):
        link_create(make_program(), 1, AttachType.XDP)


# --- perf events ------------------------------------------------------------------------------------------------------


@pytest.mark.requires("perf links")
def test_a_tracepoint_counts_through_tracefs_that_need_not_be_mounted(counter: Counter) -> None:
    with Tracefs.open() as tracefs:
        number = tracefs.tracepoint_id("syscalls", "sys_enter_getppid") if has_syscalls(tracefs) else None
        number = number or tracefs.tracepoint_id("sched", "sched_switch")
    with (
        load_program(ProgramType.TRACEPOINT, counter.code) as program,
        perf_events.open_tracepoint(number) as event,
        link_create(program, event, AttachType.PERF_EVENT, cookie=9) as link,
    ):
        perf_events.enable(event)
        os.getppid()
        os.sched_yield()
        assert counter() > 0
        info = link_info(link)
        assert info.type == LinkType.PERF_EVENT
        if kernel_has("perf link infos"):
            assert info.event == "tracepoint"
            assert info.name in {"sys_enter_getppid", "sched_switch"}
        else:
            assert (info.event, info.name) == (None, None)
        if kernel_has("perf link cookies"):
            assert info.cookie == 9


def has_syscalls(tracefs: Tracefs) -> bool:
    try:
        tracefs.read("events/syscalls/sys_enter_getppid/id")
    except KernelError:
        return False
    return True


@pytest.fixture
def libc_getppid() -> tuple[str, int]:
    """libc's file and where in it getppid is."""
    import ctypes

    address = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p).value
    assert address is not None
    with open("/proc/self/maps") as lines:
        for line in lines:
            fields = line.split()
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            if begin <= address < end:
                return fields[5], address - begin + int(fields[2], 16)
    raise AssertionError("libc is not mapped")


@pytest.mark.requires("perf links")
@pytest.mark.parametrize("is_return", [False, True])
def test_a_uprobe_counts_until_it_is_closed(counter: Counter, libc_getppid: tuple[str, int], is_return: bool) -> None:
    path, offset = libc_getppid
    with load_program(ProgramType.KPROBE, counter.code) as program:
        with (
            perf_events.open_uprobe(path, offset, pid=os.getpid(), is_return=is_return) as event,
            link_create(program, event, AttachType.PERF_EVENT, cookie=3) as link,
        ):
            perf_events.enable(event)
            os.getppid()
            assert counter() == 1
            info = link_info(link)
            if kernel_has("perf link infos"):
                assert (info.event, info.offset) == ("uretprobe" if is_return else "uprobe", offset)
                assert info.name is not None
                assert info.name.endswith(os.path.basename(path))
            if kernel_has("perf link cookies"):
                assert info.cookie == 3
        os.getppid()
        assert counter() == 1


def test_a_uprobe_without_a_link(counter: Counter, libc_getppid: tuple[str, int]) -> None:
    path, offset = libc_getppid
    with (
        load_program(ProgramType.KPROBE, counter.code) as program,
        perf_events.open_uprobe(path, offset, pid=os.getpid()) as event,
    ):
        perf_events.set_bpf(event, program)
        perf_events.enable(event)
        os.getppid()
        assert counter() == 1
        with pytest.raises(KernelError, match=r"uprobe 'x': PERF_EVENT_IOC_SET_BPF: .* \(EEXIST\)"):
            perf_events.set_bpf(event, program, subject="uprobe 'x'")


def test_a_uprobe_of_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(KernelError, match=r"uprobe '/nowhere'\+0x10: perf_event_open: .* \(ENOENT\)"):
        perf_events.open_uprobe("/nowhere", 0x10)


@pytest.mark.requires("uprobe.multi")
def test_a_uprobe_multi_link(counter: Counter, libc_getppid: tuple[str, int]) -> None:
    path, offset = libc_getppid
    kind = AttachType.TRACE_UPROBE_MULTI
    with (
        load_program(ProgramType.KPROBE, counter.code, expected_attach_type=kind) as program,
        link_uprobe_multi(program, path, [offset], cookies=[7], pid=os.getpid()) as link,
    ):
        os.getppid()
        assert counter() == 1
        info = link_info(link)
        assert (info.type, info.count, info.pid) == (LinkType.UPROBE_MULTI, 1, os.getpid())
        assert info.name is not None
        assert info.name.endswith(os.path.basename(path))


@pytest.mark.requires("perf links")
@pytest.mark.requires("kprobes")
def test_a_kprobe_counts(counter: Counter) -> None:
    with (
        load_program(ProgramType.KPROBE, counter.code) as program,
        perf_events.open_kprobe("vfs_read") as event,
        link_create(program, event, AttachType.PERF_EVENT) as link,
    ):
        perf_events.enable(event)
        Path("/proc/self/stat").read_bytes()
        assert counter() > 0
        info = link_info(link)
        if kernel_has("perf link infos"):
            assert (info.event, info.name) == ("kprobe", "vfs_read")


def test_a_kernel_without_kprobes_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotSupportedError, match=r"kprobe events\. It needs a kernel with CONFIG_KPROBE_EVENTS"):
        perf_events.event_source("kprobe", tmp_path)


def test_event_sources_tell_where_their_options_go(tmp_path: Path) -> None:
    source = tmp_path / "thing"
    (source / "format").mkdir(parents=True)
    (source / "type").write_text("12\n")
    (source / "format" / "retprobe").write_text("config:0\n")
    (source / "format" / "ref_ctr_offset").write_text("config:32-63\n")
    (source / "format" / "odd").write_text("config1:0-63\n")
    thing = perf_events.event_source("thing", tmp_path)
    assert (thing.type, thing.bit("retprobe"), thing.shift("ref_ctr_offset")) == (12, 1, 32)
    with pytest.raises(NotSupportedError, match="option missing of thing events"):
        thing.bit("missing")
    with pytest.raises(BpfError, match="says 'config1:0-63'"):
        thing.bit("odd")


def test_kprobe_multi_is_refused_or_attached(counter: Counter) -> None:
    """No kprobes here: the command must be well-formed all the same, so what the kernel says is not EFAULT or E2BIG."""
    kind = AttachType.TRACE_KPROBE_MULTI
    with (
        load_program(ProgramType.KPROBE, counter.code, expected_attach_type=kind) as program,
        contextlib.ExitStack() as s,
    ):
        try:
            link = s.enter_context(link_kprobe_multi(program, symbols=["vfs_read", "vfs_write"], cookies=[1, 2]))
        except KernelError as error:
            said = error.errno
        else:
            assert link_info(link).count == 2
            return
    assert said in {errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL}


@pytest.mark.requires("perf links")
def test_sampling_by_frequency(counter: Counter) -> None:
    with (
        load_program(ProgramType.PERF_EVENT, counter.code) as program,
        perf_events.perf_event_open(
            perf_events.TYPE_SOFTWARE, perf_events.COUNT_SW_CPU_CLOCK, pid=0, cpu=-1, sample_frequency=1000
        ) as event,
        link_create(program, event, AttachType.PERF_EVENT) as link,
    ):
        total = 0
        while counter() < 3:
            total += sum(range(10_000))
        assert link_info(link).event in {"event", None}
        perf_events.disable(event)
        before = counter()
        total += sum(range(1_000_000))
        assert counter() == before


def test_an_event_of_nobody_is_the_kernels_error() -> None:
    with pytest.raises(KernelError, match=r"perf event: perf_event_open: .* \(EINVAL\)"):
        perf_events.perf_event_open(perf_events.TYPE_SOFTWARE, 0, pid=-1, cpu=-1)


# --- tracefs and mounts -----------------------------------------------------------------------------------------------


def test_tracefs_opens_privately_where_it_is_not_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracefs_module, "_mounted", list)
    before = list(mounts("tracefs"))
    with Tracefs.open() as tracefs:
        assert tracefs.path is None
        assert tracefs.tracepoint_id("sched", "sched_process_exec") > 0
        assert tracefs_module.tracepoint_id("sched", "sched_process_exec") > 0
        assert list(mounts("tracefs")) == before


def test_tracefs_opens_where_it_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    if subprocess.run(["mount", "-t", "tracefs", "nodev", tmp_path], check=False).returncode:
        pytest.skip("cannot mount tracefs")
    try:
        monkeypatch.setattr(tracefs_module, "_USUAL", ())
        with Tracefs.open() as tracefs:
            assert tracefs.path is not None
            assert tracefs.tracepoint_id("sched", "sched_process_exec") > 0
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_without_the_privilege_it_says_how_to_mount_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiobpf.errors import kernel_error

    def refuse(kind: str) -> OwnedFd:
        raise kernel_error(errno.EPERM, "fsopen", kind)

    monkeypatch.setattr(tracefs_module, "_mounted", list)
    monkeypatch.setattr(tracefs_module, "private_mount", refuse)
    with pytest.raises(
        MissingPrivilegeError, match=r"tracefs, which is not mounted.*mount -t tracefs nodev /sys/kernel/tracing"
    ):
        Tracefs.open()


def test_a_kernel_without_tracefs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiobpf.errors import kernel_error

    def refuse(kind: str) -> OwnedFd:
        raise kernel_error(errno.ENODEV, "fsopen", kind)

    monkeypatch.setattr(tracefs_module, "_mounted", list)
    monkeypatch.setattr(tracefs_module, "private_mount", refuse)
    with pytest.raises(NotSupportedError, match="CONFIG_TRACING"):
        Tracefs.open()


def test_a_tracepoint_that_tracefs_does_not_have_is_named() -> None:
    with Tracefs.open() as tracefs:
        with pytest.raises(NotSupportedError, match="tracepoint sched/nothing"):
            tracefs.tracepoint_id("sched", "nothing")
        for category, name in [("..", "x"), ("sched", "../../x"), ("", "x"), ("a/b", "c")]:
            with pytest.raises(ValueError, match="no name of a tracepoint"):
                tracefs.tracepoint_id(category, name)


@pytest.mark.requires("uprobes")
@pytest.mark.requires("perf links")
def test_a_legacy_uprobe_is_made_and_removed(counter: Counter, libc_getppid: tuple[str, int]) -> None:
    path, offset = libc_getppid
    group = f"aiobpf_test_{os.getpid()}"
    with Tracefs.open() as tracefs:
        number = tracefs.add_probe("uprobe", group, "getppid", f"{path}:{offset:#x}")
        try:
            with (
                load_program(ProgramType.KPROBE, counter.code) as program,
                perf_events.open_tracepoint(number, pid=os.getpid(), cpu=-1) as event,
                link_create(program, event, AttachType.PERF_EVENT),
            ):
                perf_events.enable(event)
                os.getppid()
                assert counter() == 1
        finally:
            tracefs.remove_probe("uprobe", group, "getppid")
        assert group not in tracefs.read("uprobe_events")
        with pytest.raises(KernelError, match=r"tracefs uprobe_events: writing 'p:.*'"):
            tracefs.add_probe("uprobe", group, "bad", "no such place")
        with pytest.raises(ValueError, match="not 'xprobe'"):
            tracefs.add_probe("xprobe", group, "bad", "x")


def test_a_private_mount_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KernelError, match=r"nosuchfs: fsopen: .* \(ENODEV\)"):
        private_mount("nosuchfs")


def test_mounts_are_found_by_kind() -> None:
    assert "/proc" in mounts("proc")
    assert list(mounts("nosuchfs")) == []
    with pytest.raises(KernelError, match=r"/nowhere: statfs: .* \(ENOENT\)"):
        filesystem_magic("/nowhere")
