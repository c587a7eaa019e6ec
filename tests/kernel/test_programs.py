"""Programs, maps and BTF objects of the running kernel, and what it tells of them."""

from __future__ import annotations

import errno
import os
import signal
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from aiobpf import asm
from aiobpf.errors import KernelError, MissingPrivilegeError, NotSupportedError
from aiobpf.kernel import (
    ObjectKind,
    OwnedFd,
    all_ids,
    bind_map,
    btf_by_id,
    btf_info,
    create_map,
    enable_stats,
    fd_by_id,
    freeze_map,
    kernel_release,
    link_by_id,
    load_btf,
    load_program,
    log_text,
    map_by_id,
    map_info,
    next_id,
    open_pin,
    pin,
    program_by_id,
    program_info,
    program_stats,
)
from aiobpf.kernel import programs as programs_module
from aiobpf.kernel import test_run as run_program
from aiobpf.kernel.btf_probes import PLAIN_BTF
from aiobpf.kernel.syscall import try_fd
from aiobpf.uapi import AttachType, MapFlags, MapType, ProgramFlags, ProgramType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.root


# --- maps -------------------------------------------------------------------------------------------------------------


def test_a_map_is_what_was_asked_for() -> None:
    with create_map(MapType.HASH, 4, 8, 100, name="a-map.of+mine_and_long", flags=MapFlags.NO_PREALLOC) as fd:
        info = map_info(fd)
        assert (info.type, info.key_size, info.value_size, info.max_entries) == (MapType.HASH, 4, 8, 100)
        assert info.flags == MapFlags.NO_PREALLOC
        assert info.name == "a_map.of_mine_a"
        assert info.id
        with map_by_id(info.id) as again:
            assert map_info(again) == info


def test_a_map_with_types() -> None:
    with load_btf(PLAIN_BTF) as btf, create_map(MapType.HASH, 4, 4, 1, btf=btf, key_type_id=1, value_type_id=1) as fd:
        info = map_info(fd)
        assert (info.btf_key_type_id, info.btf_value_type_id) == (1, 1)
        assert info.btf_id == btf_info(btf).id


def test_a_map_of_maps_needs_a_template(make_map: Callable[..., OwnedFd]) -> None:
    inner = make_map(MapType.ARRAY)
    with create_map(MapType.HASH_OF_MAPS, 4, 4, 2, inner=inner) as fd:
        assert map_info(fd).type == MapType.HASH_OF_MAPS
    with pytest.raises(KernelError, match=r"map 'outer': BPF_MAP_CREATE: .* \(EBADF\)"):
        create_map(MapType.HASH_OF_MAPS, 4, 4, 2, inner=1 << 20, name="outer")


@pytest.mark.parametrize(
    ("arguments", "subject"),
    [((MapType.HASH, 0, 8, 1), "map of type HASH"), ((4711, 4, 8, 1), "map of type 4711")],
)
def test_a_map_that_cannot_be_names_its_type(arguments: tuple[int, int, int, int], subject: str) -> None:
    with pytest.raises(KernelError, match=rf"{subject}: BPF_MAP_CREATE: .* \(EINVAL\)"):
        create_map(*arguments)


def test_a_size_beyond_32_bits_is_named() -> None:
    with pytest.raises(ValueError, match="max_entries = 4294967296 does not fit"):
        create_map(MapType.ARRAY, 4, 8, 1 << 32)


def test_on_a_numa_node() -> None:
    with create_map(MapType.ARRAY, 4, 8, 1, numa_node=0) as fd:
        assert map_info(fd).flags & MapFlags.NUMA_NODE


def test_a_frozen_map_stays_frozen(make_map: Callable[..., OwnedFd]) -> None:
    fd = make_map(MapType.ARRAY)
    freeze_map(fd)
    with pytest.raises(KernelError, match="map 'mine': BPF_MAP_FREEZE"):
        freeze_map(fd, subject="map 'mine'")


# --- programs ---------------------------------------------------------------------------------------------------------


def test_a_program_is_what_was_asked_for(code: Callable[[int], bytes]) -> None:
    with load_program(ProgramType.SOCKET_FILTER, code(7), "Dual MIT/GPL", name="answer") as fd:
        info = program_info(fd, instructions=True)
        assert (info.type, info.name, info.is_gpl_compatible) == (ProgramType.SOCKET_FILTER, "answer", True)
        decoded = asm.Instructions.decode(code(7))
        assert info.tag in {decoded.tag("sha1"), decoded.tag("sha256")}  # SHA-256 since 6.18
        assert info.xlated == code(7)
        assert info.xlated_size == 16
        assert info.jited_size == len(info.jited)
        assert info.verified_instructions == (2 if kernel_release() >= (5, 16) else 0)
        assert info.uid == os.getuid()
        with program_by_id(info.id) as again:
            assert program_info(again, instructions=True) == info


def test_a_program_tells_its_maps(make_map: Callable[..., OwnedFd], make_program: Callable[..., OwnedFd]) -> None:
    fd, program = make_map(), make_program()
    assert program_info(program).map_ids == ()
    bind_map(program, fd)
    assert program_info(program).map_ids == (map_info(fd).id,)
    with pytest.raises(KernelError, match="program 'mine': BPF_PROG_BIND_MAP"):
        bind_map(program, program, subject="program 'mine'")


def test_a_program_with_function_and_line_info() -> None:
    strings = b"\0int\0main\0t.c\0return 0;\0"
    types = struct.pack("=4I", 1, 1 << 24, 4, 1 << 24 | 32)  # int
    types += struct.pack("=3I", 0, 13 << 24, 1)  # int ()
    types += struct.pack("=3I", 5, 12 << 24 | 1, 2)  # main, global
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    lines = struct.pack("=4I", 0, 10, 14, 3 << 10 | 5)
    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    with load_btf(header + types + strings) as btf:
        program = load_program(
            ProgramType.SOCKET_FILTER, code, btf=btf, func_info=struct.pack("=2I", 0, 3), line_info=lines
        )
        with program:
            info = program_info(program, instructions=True)
            assert info.func_info == struct.pack("=2I", 0, 3)
            assert info.line_info == lines
            assert info.btf_id == btf_info(btf).id
            assert len(info.jited_symbols) == len(info.jited_lengths)


def test_a_refused_program_leaves_its_log() -> None:
    code = asm.Instructions([asm.exit_()]).encode()  # R0 is never set
    log = bytearray(4096)
    with pytest.raises(KernelError, match=r"program 'bad': BPF_PROG_LOAD: .* \(EACCES\)") as caught:
        load_program(ProgramType.SOCKET_FILTER, code, name="bad", log=log, log_level=1)
    assert "R0 !read_ok" in log_text(log)
    assert isinstance(caught.value, MissingPrivilegeError)
    assert caught.value.capability is None


def test_a_log_without_its_nul_is_read_to_its_end() -> None:
    assert log_text(bytearray(b"abc")) == "abc"
    assert log_text(bytearray(b"ab\xff\0def")) == "ab�"


def test_the_loading_is_tried_again_when_a_signal_disturbs_it(
    monkeypatch: pytest.MonkeyPatch, code: Callable[[int], bytes]
) -> None:
    attempts: list[int] = []
    real = try_fd

    def disturbed(command: object, attr: object, owner: OwnedFd) -> int:
        attempts.append(1)
        return errno.EAGAIN if len(attempts) < 3 else real(command, attr, owner)  # type: ignore[arg-type]

    monkeypatch.setattr(programs_module, "try_fd", disturbed)
    load_program(ProgramType.SOCKET_FILTER, code(0)).close()
    assert len(attempts) == 3


@pytest.mark.parametrize(("number", "attempts"), [(errno.EAGAIN, programs_module.LOAD_ATTEMPTS), (errno.EINTR, 1)])
def test_it_is_not_tried_for_ever_nor_after_eintr(
    monkeypatch: pytest.MonkeyPatch, code: Callable[[int], bytes], number: int, attempts: int
) -> None:
    made: list[int] = []

    def refuse(*arguments: object) -> int:
        made.append(1)
        return number

    monkeypatch.setattr(programs_module, "try_fd", refuse)
    with pytest.raises(KernelError) as caught:
        load_program(ProgramType.SOCKET_FILTER, code(0))
    assert (caught.value.errno, len(made)) == (number, attempts)


def test_a_signal_in_the_middle_of_a_long_load_is_survived() -> None:
    loop = asm.Instructions(
        [asm.mov(asm.R0, 0), asm.add(asm.R0, 1), asm.jlt(asm.R0, 50_000, -2), asm.mov(asm.R0, 0), asm.exit_()]
    ).encode()
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)
    loaded: list[OwnedFd | BaseException] = []

    def load() -> None:
        try:
            loaded.append(load_program(ProgramType.SOCKET_FILTER, loop))
        except BaseException as error:
            loaded.append(error)

    thread = threading.Thread(target=load)
    try:
        thread.start()
        assert thread.ident is not None
        thread.join(0.005)
        if thread.is_alive():
            signal.pthread_kill(thread.ident, signal.SIGUSR1)
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    (made,) = loaded
    assert isinstance(made, OwnedFd), made
    made.close()


def test_trampolines_that_the_kernel_refuses_are_not_blamed_on_privileges(
    monkeypatch: pytest.MonkeyPatch, code: Callable[[int], bytes]
) -> None:
    monkeypatch.setattr(programs_module, "try_fd", lambda *_: errno.EPERM)
    for kind, attach, word in [
        (ProgramType.TRACING, AttachType.TRACE_FENTRY, "fentry"),
        (ProgramType.LSM, AttachType.LSM_MAC, "lsm_mac"),
        (ProgramType.EXT, 0, "freplace"),
    ]:
        with pytest.raises(NotSupportedError, match=f"refuses trampolines, which {word} needs"):
            load_program(kind, code(0), expected_attach_type=attach, log=bytearray(64), log_level=1)
    with pytest.raises(MissingPrivilegeError):  # a raw tracepoint needs none
        load_program(ProgramType.TRACING, code(0), expected_attach_type=AttachType.TRACE_RAW_TP)


def test_run_gives_the_packet_back(make_program: Callable[..., OwnedFd]) -> None:
    result = run_program(make_program(ProgramType.XDP, 2), bytes(range(64)))
    assert (result.retval, result.data, result.context) == (2, bytes(range(64)), b"")
    assert run_program(make_program(ProgramType.XDP, 1), bytes(64), repeat=100).duration_ns >= 0


def test_run_without_data(make_program: Callable[..., OwnedFd]) -> None:
    assert run_program(make_program(ProgramType.RAW_TRACEPOINT, 42), context=bytes(16)).retval == 42


@pytest.mark.requires("syscall programs")
def test_a_syscall_program_writes_to_its_context() -> None:
    code = asm.Instructions(  # stores of a constant into a context came with 6.3
        [asm.mov(asm.R2, 42), asm.stx(8, asm.R1, asm.R2, 0), asm.mov(asm.R0, 0), asm.exit_()]
    ).encode()
    given = bytes(16)
    with load_program(ProgramType.SYSCALL, code, flags=ProgramFlags.SLEEPABLE) as program:
        result = run_program(program, context=given)
    assert result.context == struct.pack("=QQ", 42, 0)
    assert given == bytes(16)


def test_run_says_what_it_cannot(make_program: Callable[..., OwnedFd]) -> None:
    with pytest.raises(NotSupportedError, match="program 'mine': this kernel has no test run for its program type"):
        run_program(make_program(ProgramType.PERF_EVENT), subject="program 'mine'")
    with pytest.raises(KernelError, match="EINVAL"):
        run_program(make_program(ProgramType.RAW_TRACEPOINT), repeat=5)
    with pytest.raises(KernelError, match="ENOSPC"):
        run_program(make_program(ProgramType.XDP, 2), bytes(64), data_size_out=10)


def test_run_times_count_while_they_are_enabled(make_program: Callable[..., OwnedFd]) -> None:
    program = make_program(ProgramType.XDP, 2)
    with enable_stats():
        run_program(program, bytes(64), repeat=10)
    stats = program_stats(program)
    assert stats.run_count == program_info(program).stats.run_count >= 10
    assert stats.run_time_ns > 0


# --- BTF, ids and pins ------------------------------------------------------------------------------------------------


@pytest.mark.shows("btf_load")
def test_btf_comes_back_as_it_was() -> None:
    with load_btf(PLAIN_BTF) as fd:
        info = btf_info(fd, data=True)
        assert (info.data, info.is_kernel, info.name, info.size) == (PLAIN_BTF, False, "", len(PLAIN_BTF))
        assert btf_info(fd).data == b""
        with btf_by_id(info.id) as again:
            assert btf_info(again).id == info.id


def test_bad_btf_is_refused_with_a_log() -> None:
    log = bytearray(4096)
    with pytest.raises(KernelError, match="BTF of 'mine': BPF_BTF_LOAD"):
        load_btf(b"\x9f\xeb\1" + bytes(40), log=log, log_level=1, subject="BTF of 'mine'")
    assert log_text(log)


def test_ids_rise_and_end(make_map: Callable[..., OwnedFd], make_program: Callable[..., OwnedFd]) -> None:
    for kind, number in [
        (ObjectKind.MAP, map_info(make_map()).id),
        (ObjectKind.PROGRAM, program_info(make_program()).id),
    ]:
        ids = list(all_ids(kind))
        assert number in ids
        assert ids == sorted(set(ids))
        fd_by_id(kind, number).close()
        assert next_id(kind, 0x7FFFFFFE) is None
    for open_id in (map_by_id, program_by_id, link_by_id, btf_by_id):
        with pytest.raises(FileNotFoundError, match=r"\d+: BPF_\w+_GET_FD_BY_ID"):
            open_id(0x7FFFFFF0)


def test_a_pin_keeps_a_map(bpffs: Path, make_map: Callable[..., OwnedFd]) -> None:
    fd = make_map()
    path = bpffs / "mine"
    pin(fd, path)
    with open_pin(path) as again:
        assert map_info(again).id == map_info(fd).id
    with pytest.raises(FileExistsError, match=r"map 'mine' at .*mine: BPF_OBJ_PIN"):
        pin(fd, path, subject="map 'mine'")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"pin .*mine: BPF_OBJ_GET"):
        open_pin(path)


def test_a_pin_elsewhere_says_how_to_mount_a_bpffs(tmp_path: Path, make_map: Callable[..., OwnedFd]) -> None:
    with pytest.raises(KernelError, match="mount -t bpf bpf /sys/fs/bpf"):
        pin(make_map(), tmp_path / "mine")
    with pytest.raises(FileNotFoundError, match="mount -t bpf bpf /sys/fs/bpf"):
        pin(make_map(), tmp_path / "nowhere" / "mine")


@pytest.fixture
def signal_soon() -> Iterator[None]:
    """A signal to this thread a moment from now."""
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    timer = threading.Timer(0.05, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1])
    timer.start()
    yield
    timer.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("signal_soon")
def test_a_run_that_a_signal_ends_says_so(make_program: Callable[..., OwnedFd]) -> None:
    program = make_program(ProgramType.XDP, 2)
    with pytest.raises(KernelError, match="before all repetitions were done") as caught:
        run_program(program, bytes(64), repeat=1 << 30, attempts=1)
    assert caught.value.errno == errno.EINTR


@pytest.mark.usefixtures("signal_soon")
def test_a_run_that_a_signal_ends_is_begun_again(make_program: Callable[..., OwnedFd]) -> None:
    assert run_program(make_program(ProgramType.XDP, 2), bytes(64), repeat=5_000_000).retval == 2
