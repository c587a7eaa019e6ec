"""What a kernel has, found by trying, for tests/kernel_features.py."""

from __future__ import annotations

import errno
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def option_is_off(*options: str) -> Callable[[], str | None]:
    def excuse() -> str | None:
        from aiobpf.errors import NotSupportedError
        from aiobpf.kernel.kconfig import kernel_config

        try:
            config = kernel_config()
        except NotSupportedError:
            return None
        off = [option for option in options if option not in config]
        return f"{', '.join(off)} not set" if off else None

    return excuse


@functools.cache
def may_use_bpf() -> bool:
    """Whether this process may load programs of every kind."""
    from aiobpf.kernel.capabilities import Capability, missing

    return not missing([Capability.BPF, Capability.PERFMON, Capability.NET_ADMIN])


@functools.cache
def has_trampolines() -> bool:
    """Whether a fentry program loads; it attaches nowhere."""
    from aiobpf import asm
    from aiobpf.btf import Btf, Function
    from aiobpf.errors import KernelError, NotSupportedError
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramType

    vmlinux = Btf.from_file("/sys/kernel/btf/vmlinux")
    target = vmlinux.id_of(vmlinux.by_name("vfs_read", Function))
    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    try:
        with load_program(
            ProgramType.TRACING, code, expected_attach_type=AttachType.TRACE_FENTRY, attach_btf_id=target
        ):
            return True
    except (KernelError, NotSupportedError):
        return False


@functools.cache
def loads_tracing(type_name: str, attach_type: str, target: str, *, is_sleepable: bool = False) -> bool:
    """Whether a program that does nothing loads for that function of the kernel ("" for no one of them)."""
    from aiobpf import asm
    from aiobpf.btf import Btf, Function
    from aiobpf.errors import KernelError, NotSupportedError
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramFlags, ProgramType

    number = 0
    if target:
        vmlinux = Btf.from_file("/sys/kernel/btf/vmlinux")
        found = vmlinux.all_by_name(target, Function)
        if not found:
            return False
        number = vmlinux.id_of(found[0])
    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    try:
        load_program(
            ProgramType[type_name],
            code,
            expected_attach_type=AttachType[attach_type],
            attach_btf_id=number,
            flags=ProgramFlags.SLEEPABLE if is_sleepable else 0,
        ).close()
    except (KernelError, NotSupportedError):
        return False
    return True


@functools.cache
def has_bpf_lsm() -> bool:
    """Whether the kernel asks BPF programs what it asks its security modules."""
    try:
        return "bpf" in Path("/sys/kernel/security/lsm").read_text().strip().split(",") and has_trampolines()
    except OSError:
        return loads_tracing("LSM", "LSM_MAC", "bpf_lsm_file_open")


@functools.cache
def knows_helper(number: int) -> bool:
    """Whether socket filters may call the helper of that number; it is called with nothing, and refused for that."""
    from aiobpf import asm
    from aiobpf.errors import KernelError
    from aiobpf.kernel.programs import load_program, log_text
    from aiobpf.uapi import ProgramType

    log = bytearray(1 << 16)
    code = asm.Instructions([asm.call_helper(number), asm.mov(asm.R0, 0), asm.exit_()]).encode()
    try:
        load_program(ProgramType.SOCKET_FILTER, code, log=log, log_level=1).close()
    except KernelError:
        return "unknown#" not in log_text(log)
    return True


@functools.cache
def lets_call(program_type: str, number: int, attach_type: str | None = None, target: str | None = None) -> bool:
    """Whether programs of that type may call the helper of that number, which wants no more than the context."""
    from aiobpf import asm
    from aiobpf.btf import Btf, Function
    from aiobpf.errors import KernelError, NotSupportedError
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramType

    target_id = 0
    if target is not None:
        vmlinux = Btf.from_file("/sys/kernel/btf/vmlinux")
        target_id = vmlinux.id_of(vmlinux.by_name(target, Function))
    code = asm.Instructions([asm.call_helper(number), asm.mov(asm.R0, 0), asm.exit_()]).encode()
    expected = AttachType[attach_type] if attach_type is not None else 0
    try:
        load_program(ProgramType[program_type], code, expected_attach_type=expected, attach_btf_id=target_id).close()
    except (KernelError, NotSupportedError):
        return False
    return True


@functools.cache
def supports(name: str) -> bool:
    from aiobpf.kernel.features import Feature as KernelFeature
    from aiobpf.kernel.features import Supported, kernel_features

    return kernel_features().probe(KernelFeature[name]) == Supported()


@functools.cache
def takes_out_of_hashes() -> bool:
    """Whether a hash's element is looked up and deleted at once."""
    from aiobpf.errors import KernelError
    from aiobpf.kernel.elements import MapElements
    from aiobpf.kernel.maps import create_map
    from aiobpf.uapi import MapType

    with create_map(MapType.HASH, 4, 4, 1) as table:
        try:
            MapElements(table, 4, 4).lookup_and_delete(bytes(4))
        except KernelError:
            return False
    return True


@functools.cache
def has_attach_type(name: str) -> bool:
    """Whether the loopback interface can be asked for programs of that attach type."""
    from aiobpf.errors import KernelError
    from aiobpf.kernel.links import prog_query
    from aiobpf.uapi import AttachType

    try:
        prog_query(1, AttachType[name])
    except KernelError:
        return False
    return True


@functools.cache
def has_cgroup_hook(name: str) -> bool:
    """Whether a program for that hook of a cgroup loads."""
    from aiobpf import asm
    from aiobpf.errors import KernelError
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramType

    code = asm.Instructions([asm.mov(asm.R0, 1), asm.exit_()]).encode()
    try:
        load_program(ProgramType.CGROUP_SOCK_ADDR, code, expected_attach_type=AttachType[name]).close()
    except KernelError:
        return False
    return True


@functools.cache
def has_cgroup_flag(flag: int) -> bool:
    """Whether the kernel knows that flag of BPF_PROG_ATTACH for cgroups; what it is given is no cgroup."""
    from aiobpf import asm
    from aiobpf.errors import KernelError
    from aiobpf.kernel.links import prog_attach
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramType

    code = asm.Instructions([asm.mov(asm.R0, 1), asm.exit_()]).encode()
    multi = 1 << 1
    with load_program(ProgramType.CGROUP_SOCK, code) as program:
        try:
            prog_attach(program, program, AttachType.CGROUP_INET_SOCK_CREATE, flags=flag | multi)
        except KernelError as error:
            return error.errno == errno.EBADF
    return False


@functools.cache
def has_sockmap_hook(name: str) -> bool:
    """Whether a map of sockets takes a program of that attach type."""
    return _on_sockmap(name, is_link=False)


@functools.cache
def answers_for_sockmaps() -> bool:
    """Whether the kernel tells which programs hang on a map of sockets."""
    from aiobpf.errors import KernelError
    from aiobpf.kernel.links import prog_query
    from aiobpf.kernel.maps import create_map
    from aiobpf.uapi import AttachType, MapType

    with create_map(MapType.SOCKMAP, 4, 4, 1) as sockets:
        try:
            prog_query(sockets, AttachType.SK_MSG_VERDICT)
        except KernelError:
            return False
    return True


@functools.cache
def has_sockmap_links() -> bool:
    return _on_sockmap("SK_SKB_STREAM_VERDICT", is_link=True)


def _on_sockmap(name: str, *, is_link: bool) -> bool:
    from aiobpf import asm
    from aiobpf.errors import KernelError
    from aiobpf.kernel.links import link_create, prog_attach
    from aiobpf.kernel.maps import create_map
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, MapType, ProgramType

    code = asm.Instructions([asm.mov(asm.R0, 1), asm.exit_()]).encode()
    with (
        load_program(ProgramType.SK_SKB, code, expected_attach_type=AttachType[name]) as program,
        create_map(MapType.SOCKMAP, 4, 4, 1) as sockets,
    ):
        try:
            if is_link:
                link_create(program, sockets, AttachType[name]).close()
            else:
                prog_attach(program, sockets, AttachType[name])
        except KernelError:
            return False
    return True


@functools.cache
def migrates_listeners() -> bool:
    from aiobpf.kernel.sockets import migrates_requests

    return migrates_requests()


@functools.cache
def perf_link_told() -> tuple[str | None, int | None]:
    """What the kernel tells of a link over a perf event with the cookie 5: what it is about, and the cookie."""
    from aiobpf import asm
    from aiobpf.errors import KernelError
    from aiobpf.kernel import perf_events
    from aiobpf.kernel.info_links import link_info
    from aiobpf.kernel.links import link_create
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramType

    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    clock = perf_events.COUNT_SW_CPU_CLOCK
    with (
        load_program(ProgramType.PERF_EVENT, code) as program,
        perf_events.perf_event_open(perf_events.TYPE_SOFTWARE, clock, pid=0, cpu=-1, sample_frequency=1) as event,
    ):
        try:
            with link_create(program, event, AttachType.PERF_EVENT, cookie=5) as link:
                info = link_info(link)
                return info.event, info.cookie
        except KernelError:
            return None, None


@functools.cache
def has_tp_btf_links() -> bool:
    """Whether BPF_LINK_CREATE attaches tp_btf programs, which BPF_RAW_TRACEPOINT_OPEN has always done."""
    from aiobpf import asm
    from aiobpf.btf import Btf, Typedef
    from aiobpf.errors import KernelError
    from aiobpf.kernel.links import link_create
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramType

    vmlinux = Btf.from_file("/sys/kernel/btf/vmlinux")
    target = vmlinux.id_of(vmlinux.by_name("btf_trace_sys_enter", Typedef))
    kind = AttachType.TRACE_RAW_TP
    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    with load_program(ProgramType.TRACING, code, expected_attach_type=kind, attach_btf_id=target) as program:
        try:
            link_create(program, None, kind).close()
        except KernelError:
            return False
    return True


@functools.cache
def counts_in_cgroups() -> bool:
    """Whether a new cgroup v2 can be given to perf_event_open."""
    from aiobpf.errors import KernelError
    from aiobpf.kernel import perf_events
    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.kernel.mounts import mounts

    root = next(iter(mounts("cgroup2")), None)
    if root is None:
        return False
    folder = Path(root) / f"aiobpf-probe-{os.getpid()}"
    folder.mkdir()
    try:
        with OwnedFd(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as opened:
            clock = perf_events.COUNT_SW_TASK_CLOCK
            perf_events.perf_event_open(perf_events.TYPE_SOFTWARE, clock, cgroup=opened, sample_period=10**9).close()
    except KernelError:
        return False
    finally:
        folder.rmdir()
    return True


@functools.cache
def has_uprobe_sessions() -> bool:
    """Whether one link has a program see both ends of a user function's calls."""
    import errno

    from aiobpf import asm
    from aiobpf.errors import KernelError
    from aiobpf.kernel.links import link_uprobe_multi
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramType

    kind = AttachType.TRACE_UPROBE_SESSION
    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    with load_program(ProgramType.KPROBE, code, expected_attach_type=kind) as program:
        try:
            link_uprobe_multi(program, "/", [1], attach_type=kind).close()
        except KernelError as error:
            return error.errno == errno.EBADF  # it looked at the file, which is none
    return True


@functools.cache
def has_kprobe_links(name: str) -> bool:
    """Whether one link of that attach type hangs a program on many kernel functions."""
    import errno

    from aiobpf import asm
    from aiobpf.errors import KernelError
    from aiobpf.kernel.links import link_kprobe_multi
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import AttachType, ProgramType

    kind = AttachType[name]
    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    with load_program(ProgramType.KPROBE, code, expected_attach_type=kind) as program:
        try:
            link_kprobe_multi(program, symbols=["no such function"], attach_type=kind).close()
        except KernelError as error:
            return error.errno in {errno.ENOENT, errno.ESRCH}  # it looked for it
    return True


@functools.cache
def has_kernel_function(name: str) -> bool:
    from aiobpf.btf import Btf, Function

    return bool(Btf.from_file("/sys/kernel/btf/vmlinux").all_by_name(name, Function))


def has_iterator(target: str) -> bool:
    """Whether the kernel's BTF has the function that an iterator program is verified against."""
    return has_kernel_function(f"bpf_iter_{target}")


def has_user_rings() -> bool:
    """BPF_MAP_TYPE_USER_RINGBUF, and the helper that drains one."""
    return has_map_type("USER_RINGBUF") and knows_helper(209)


def runs_live_frames() -> bool:
    """Whether a test run sends its frames on their way; these are dropped."""
    from aiobpf import asm
    from aiobpf.errors import KernelError, NotSupportedError
    from aiobpf.kernel.program_run import test_run
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import ProgramType, RunFlags

    drop = asm.Instructions([asm.mov(asm.R0, 1), asm.exit_()]).encode()
    with load_program(ProgramType.XDP, drop) as program:
        try:
            test_run(program, bytes(64), flags=RunFlags.XDP_LIVE_FRAMES)
        except NotSupportedError:
            return False
        except KernelError:  # it began: a signal ends it
            return True
    return True


@functools.cache
def has_one_cpu_value() -> bool:
    from aiobpf.kernel.features import Feature, Supported, kernel_features

    return isinstance(kernel_features().probe(Feature.ONE_CPU_VALUE), Supported)


@functools.cache
def has_map_type(name: str) -> bool:
    from aiobpf.kernel.features import supports_map_type
    from aiobpf.uapi import MapType

    return supports_map_type(MapType[name])


@functools.cache
def has_map_flag(name: str) -> bool:
    from aiobpf.kernel.features import may_support
    from aiobpf.uapi import MapFlags

    return may_support(MapFlags[name])


@functools.cache
def has_exclusive_maps() -> bool:
    from aiobpf.errors import KernelError
    from aiobpf.kernel.maps import create_map
    from aiobpf.uapi import MapType

    try:
        create_map(MapType.ARRAY, 4, 4, 1, exclusive_program_hash=bytes(32)).close()
    except KernelError:
        return False
    return True


@functools.cache
def has_program_type(name: str) -> bool:
    from aiobpf.kernel.features import supports_program_type
    from aiobpf.uapi import ProgramType

    return supports_program_type(ProgramType[name])


@functools.cache
def has_struct_ops_links() -> bool:
    """Whether the values of struct_ops maps have a state that only links use (BPF_STRUCT_OPS_STATE_READY)."""
    from aiobpf.btf import Btf, Enum

    states = Btf.from_file("/sys/kernel/btf/vmlinux").all_by_name("bpf_struct_ops_state", Enum)
    return any(each.name == "BPF_STRUCT_OPS_STATE_READY" for state in states for each in state.enumerators)


@functools.cache
def has_modules_with_types() -> bool:
    """Whether the running kernel's modules are installed, and it takes types with a distilled base (6.11)."""
    from aiobpf.kernel.release import kernel_release

    is_there = any(Path(f"/lib/modules/{os.uname().release}/kernel").rglob("dummy.ko*"))
    return is_there and kernel_release() >= (6, 11)


@functools.cache
def tells_of_variables() -> bool:
    """Whether the kernel's variables are in its BTF, and in kallsyms, where the verifier looks for their address."""
    from aiobpf.btf import Btf, Variable
    from aiobpf.kernel.kallsyms import symbol_addresses

    vmlinux = Btf.from_file("/sys/kernel/btf/vmlinux")
    return bool(vmlinux.all_by_name("runqueues", Variable)) and bool(symbol_addresses(["runqueues"]))


def tells_its_configuration() -> bool:
    from aiobpf.errors import NotSupportedError
    from aiobpf.kernel.kconfig import kernel_config

    try:
        return bool(kernel_config())
    except NotSupportedError:
        return False


MODULES = ("veth", "nf_conntrack", "xfrm_interface")
"""Modules that tests trace and call functions of; a VM loads them (tests/vm/kernels.py)."""


def tells_types_of_modules() -> bool:
    return all(Path("/sys/kernel/btf", module).exists() for module in MODULES)


def modules_are_not_loaded() -> str | None:
    try:
        loaded = {line.split()[0] for line in Path("/proc/modules").read_text().splitlines()}
    except FileNotFoundError:
        return "this kernel has no modules"
    missing = [module for module in MODULES if module not in loaded]
    return f"{', '.join(missing)} not loaded, or built in" if missing else None


@functools.cache
def has_connection_tracking_functions() -> bool:
    from aiobpf.btf import Function
    from aiobpf.kernel.btf import KernelBtfCache

    cache = KernelBtfCache()
    found = [cache.find(name, Function) for name in ("bpf_skb_ct_alloc", "bpf_skb_get_xfrm_info", "bpf_rcu_read_lock")]
    cache.close()
    return None not in found


@functools.cache
def has_module_variable() -> bool:
    """Whether the verifier follows the type of x_tables' own variable: that of 6.1 sees no struct behind a typedef."""
    from aiobpf.btf import Variable
    from aiobpf.kernel.btf import KernelBtfCache
    from aiobpf.kernel.release import kernel_release

    if kernel_release() < (6, 12):
        return False

    cache = KernelBtfCache()
    found = cache.find("xt_recseq", Variable)
    cache.close()
    return found is not None and found.module is not None


def refuses_trampolines() -> str | None:
    """A kernel that says EPERM to one who may do everything, and writes no log, was built to refuse them."""
    return "this kernel refuses trampolines (EPERM with every privilege)" if may_use_bpf() else None


BPF_GET_ATTACH_COOKIE = 174


@functools.cache
def tells_netfilter_hooks() -> bool:
    """Whether the kernel lists the netfilter hooks of a network namespace."""
    from aiobpf.kernel.netfilter_hooks import hooked_programs
    from aiobpf.kernel.netlink import NETFILTER, NetlinkSocket

    with NetlinkSocket(NETFILTER) as socket:
        return hooked_programs(socket, subject="hooks") is not None


@functools.cache
def makes_netkit() -> bool:
    """Whether the kernel makes a pair of netkit devices, in a network namespace that goes right away."""
    from aiobpf.errors import KernelError
    from tests.link.networks import netkit_network

    try:
        with netkit_network("near"):
            return True
    except KernelError:
        return False


@functools.cache
def takes_xdp_fragments() -> bool:
    from aiobpf import asm
    from aiobpf.errors import KernelError, NotSupportedError
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import ProgramFlags, ProgramType

    code = asm.Instructions([asm.mov(asm.R0, 2), asm.exit_()]).encode()
    try:
        load_program(ProgramType.XDP, code, flags=ProgramFlags.XDP_HAS_FRAGS).close()
    except (KernelError, NotSupportedError):
        return False
    return True


@functools.cache
def reads_program_output() -> bool:
    """Whether programs have streams that can be read."""
    from aiobpf import asm
    from aiobpf.errors import NotSupportedError
    from aiobpf.kernel.program_output import STDOUT, read_program_output
    from aiobpf.kernel.programs import load_program
    from aiobpf.uapi import ProgramType

    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    with load_program(ProgramType.SOCKET_FILTER, code) as program:
        try:
            read_program_output(program, STDOUT)
        except NotSupportedError:
            return False
    return True


@functools.cache
def printing_gives() -> int:
    """What a program gets for printing to its own stream: 0, or -errno (-EOPNOTSUPP without the kfunc)."""
    import anyio

    import aiobpf

    async def run() -> int:
        path = Path(__file__).parent / "objects" / "kernel_log.bpf.o"
        async with aiobpf.load(path, programs=["to_streams"]) as coll:
            await coll.programs["to_streams"].run()
            return int(coll.variables["printed"].value)

    return anyio.run(run)


def cannot_print() -> str | None:
    gives = printing_gives()
    return f"bpf_stream_printk gives {errno.errorcode.get(-gives, gives)}" if gives in {-errno.ENOMEM, -7} else None


@functools.cache
def writes_to_user_memory() -> bool:
    """Whether a program that calls bpf_probe_write_user loads."""
    import anyio

    import aiobpf
    from aiobpf.errors import VerifierError

    async def load() -> bool:
        try:
            async with aiobpf.load(Path(__file__).parent / "objects" / "effects.bpf.o", programs=["write_user"]):
                return True
        except VerifierError:
            return False

    return anyio.run(load)


def is_locked_down() -> str | None:
    """Under lockdown "integrity" no program writes to user memory (51e1bb9eeaf7, 5.16)."""
    try:
        mode = Path("/sys/kernel/security/lockdown").read_text()
    except FileNotFoundError:
        return "the kernel refuses bpf_probe_write_user"
    return None if "[none]" in mode else f"lockdown: {mode.strip()}"
