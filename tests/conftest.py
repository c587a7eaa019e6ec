"""What every test may use: the three event loops, the fd count, the feature gate.

An async test of the library carries ``@pytest.mark.everywhere`` and runs three times: on asyncio in debug mode (through
pytest-asyncio), and on uvloop and trio (through anyio's plugin).
"""

from __future__ import annotations

import functools
import gc
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A busy machine has slow moments, which say nothing of an example; pytest-timeout bounds each test as a whole.
settings.register_profile("aiobpf", deadline=None)
settings.load_profile("aiobpf")

EVERY_BACKEND = {
    "asyncio": pytest.param(("asyncio", {"debug": True}), id="asyncio", marks=pytest.mark.asyncio),
    "uvloop": pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop", marks=pytest.mark.anyio),
    "trio": pytest.param(
        ("trio", {"restrict_keyboard_interrupt_to_checkpoints": True}), id="trio", marks=pytest.mark.anyio
    ),
}

# AIOBPF_TEST_BACKENDS=asyncio: what a slow machine (an emulated one, above all) can afford.
BACKENDS = [EVERY_BACKEND[name] for name in os.environ.get("AIOBPF_TEST_BACKENDS", ",".join(EVERY_BACKEND)).split(",")]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> None:
    if not collector.istestfunction(obj, name) or not inspect.iscoroutinefunction(obj):
        return
    marks = getattr(obj, "pytestmark", ())
    if any(mark.name == "everywhere" for mark in marks) or collector.get_closest_marker("everywhere"):
        pytest.mark.usefixtures("anyio_backend")(obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("everywhere") and inspect.iscoroutinefunction(metafunc.function):
        metafunc.parametrize("anyio_backend", BACKENDS, indirect=True)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Which loop the test runs on; parametrized by the ``everywhere`` mark."""
    backend: tuple[str, dict[str, Any]] = getattr(request, "param", ("asyncio", {"debug": True}))
    return backend


def open_fds() -> dict[int, str]:
    """The descriptors of this process, with what they refer to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the listing's own descriptor
            continue
    return found


@pytest.fixture(autouse=True)
def no_fd_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test leaves as many bpf, perf and other descriptors as it found."""
    before = open_fds()
    yield
    types = sys.modules.get("aiobpf.kernel.btf")  # not imported for this: the wheel's tests run where it cannot be
    if types is not None and types.shared_btf_cache.cache_info().currsize:
        types.shared_btf_cache().close()  # the BTF objects of modules, which it keeps for the next load
    left = {fd: what for fd, what in open_fds().items() if before.get(fd) != what}
    if left:
        gc.collect()  # an exception's traceback may hold the last reference; a forgotten fd warns (an error) as it goes
        left = {fd: what for fd, what in open_fds().items() if before.get(fd) != what}
    ours = {fd: what for fd, what in left.items() if "bpf" in what or "perf_event" in what or "btf" in what}
    assert not ours, f"descriptors left open: {ours}"


# --- what a kernel test needs ----------------------------------------------------------------------------------------


@frozen
class Feature:
    """Something that a kernel may lack. *is_there* looks; *since* is the first version that has it.

    Where it is missing although the kernel is new enough, the test fails, unless *excuse* finds the reason: a
    configuration option that is off, or a machine that forbids it.
    """

    since: tuple[int, int]
    is_there: Callable[[], bool]
    excuse: Callable[[], str | None] = lambda: None


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
def has_kernel_function(name: str) -> bool:
    from aiobpf.btf import Btf, Function

    return bool(Btf.from_file("/sys/kernel/btf/vmlinux").all_by_name(name, Function))


@functools.cache
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

FEATURES = {
    "kprobes": Feature(
        (4, 17), Path("/sys/bus/event_source/devices/kprobe/type").exists, option_is_off("CONFIG_KPROBES")
    ),
    "uprobes": Feature(
        (4, 17), Path("/sys/bus/event_source/devices/uprobe/type").exists, option_is_off("CONFIG_UPROBES")
    ),
    "trampolines": Feature((5, 5), has_trampolines, refuses_trampolines),
    "atomics": Feature((5, 12), lambda: supports("ATOMICS")),
    "callbacks": Feature((5, 13), lambda: knows_helper(164)),  # bpf_for_each_map_elem
    "timers": Feature((5, 15), lambda: knows_helper(169)),  # bpf_timer_init
    "bounded loops": Feature((5, 17), lambda: knows_helper(181)),  # bpf_loop; bpf_strncmp came with it
    "bloom filters": Feature((5, 16), lambda: has_map_type("BLOOM_FILTER")),
    "lookup and delete": Feature((5, 14), takes_out_of_hashes),
    "syscall programs": Feature((5, 14), lambda: has_program_type("SYSCALL")),
    "perf links": Feature((5, 15), lambda: supports("PERF_LINK")),
    "cookies": Feature((5, 15), lambda: supports("BPF_COOKIE")),
    "loops": Feature((5, 17), lambda: knows_helper(181)),  # bpf_loop
    "tp_btf links": Feature((5, 18), has_tp_btf_links),
    "fentry cookies": Feature(
        (5, 19), lambda: lets_call("TRACING", BPF_GET_ATTACH_COOKIE, "TRACE_FENTRY", "vfs_read"), refuses_trampolines
    ),
    "task kfuncs": Feature((6, 2), lambda: has_kernel_function("bpf_task_from_pid")),
    "struct_ops links": Feature((6, 4), has_struct_ops_links, option_is_off("CONFIG_BPF_JIT")),
    "sched_ext": Feature((6, 12), Path("/sys/kernel/sched_ext").exists, option_is_off("CONFIG_SCHED_CLASS_EXT")),
    "arenas": Feature((6, 9), lambda: has_map_type("ARENA")),
    "netfilter programs": Feature(
        (6, 4), lambda: has_program_type("NETFILTER"), option_is_off("CONFIG_NETFILTER_BPF_LINK")
    ),
    "tcx": Feature((6, 6), lambda: has_attach_type("TCX_INGRESS")),
    "uprobe.multi": Feature((6, 6), lambda: supports("UPROBE_MULTI")),
    "v4 instructions": Feature((6, 6), lambda: supports("ISA_V4")),
    "perf link infos": Feature((6, 6), lambda: perf_link_told()[0] is not None),
    "arg:ctx tags": Feature((6, 8), lambda: supports("ARG_CTX_TAG")),
    "tokens": Feature((6, 9), lambda: supports("TOKEN"), option_is_off("CONFIG_USER_NS")),
    "may_goto": Feature((6, 9), lambda: supports("MAY_GOTO")),
    "perf link cookies": Feature((6, 9), lambda: perf_link_told()[1] == 5),
    "raw tracepoint cookies": Feature((6, 10), lambda: lets_call("RAW_TRACEPOINT", BPF_GET_ATTACH_COOKIE)),
    "modules with distilled types": Feature((6, 11), has_modules_with_types, lambda: "this kernel has no modules here"),
    "load-acquire": Feature((6, 15), lambda: supports("LOAD_ACQUIRE")),
    "one CPU's value": Feature((7, 0), has_one_cpu_value),
    "work queues": Feature((6, 10), lambda: has_kernel_function("bpf_wq_init")),
    "live frames": Feature((5, 18), runs_live_frames),
    "modules": Feature((5, 11), tells_types_of_modules, modules_are_not_loaded),
    "a module's variable": Feature((6, 12), has_module_variable, lambda: "no x_tables, or built in"),
    "connection tracking kfuncs": Feature((6, 2), has_connection_tracking_functions),
    "kernel variables": Feature((0, 0), tells_of_variables, lambda: "they need CONFIG_KALLSYMS_ALL and a newer pahole"),
    "kernel configuration": Feature((0, 0), tells_its_configuration, lambda: "no configuration file is installed"),
}


# AIOBPF_TEST_REQUIRE=root,kprobes: what this machine is known to have, so that its absence is a failure, never a skip.
KNOWN_TO_BE_HERE = frozenset(os.environ.get("AIOBPF_TEST_REQUIRE", "").split(","))


def why_not_here(name: str) -> str | None:
    """None where this kernel has the feature *name*, else since when or why not; fails where it should have it."""
    from aiobpf.kernel.release import kernel_release

    feature = FEATURES[name]
    if feature.is_there():
        return None
    assert name not in KNOWN_TO_BE_HERE, f"this machine is known to have {name} and has not"
    since = f"since {feature.since[0]}.{feature.since[1]}"
    if kernel_release() < feature.since:
        return since
    reason = feature.excuse()
    if reason is None:
        pytest.fail(f"this kernel should have {name} ({since}) and has not")
    return reason


def kernel_has(name: str) -> bool:
    """For a test that has something to see on kernels with the feature and on those without."""
    return why_not_here(name) is None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marks = list(item.iter_markers("requires"))
    if (marks or item.get_closest_marker("root")) and not may_use_bpf():
        assert "root" not in KNOWN_TO_BE_HERE, "CAP_BPF, CAP_PERFMON or CAP_NET_ADMIN is missing"
        pytest.skip("needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: run as root")
    for name in [name for mark in marks for name in mark.args]:
        reason = why_not_here(name)
        if reason is not None:
            pytest.skip(f"no {name} here ({reason})")
