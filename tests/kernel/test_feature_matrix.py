"""What the kernel says to each probe is what its version lets expect: run on every kernel at hand, and on this one.

A probe that says "yes" too easily, or a version in a table that is wrong, fails here on one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf.asm import Helper
from aiobpf.btf import BtfFeature, Function
from aiobpf.kernel import (
    Feature,
    Inconclusive,
    KernelFeatures,
    Supported,
    Unsupported,
    kernel_release,
    missing_btf_features,
    shared_btf_cache,
    supports_bpf_cookie,
    supports_btf,
    supports_map_type,
    supports_probe_read_kernel,
    supports_program_type,
)
from aiobpf.kernel.features import HelperCall, KfuncCall, MapFlag
from aiobpf.kernel.first_kernels import (
    ATTACH_TYPES_SINCE,
    LINK_TYPES_SINCE,
    MAP_FLAGS_SINCE,
    MAP_TYPES_SINCE,
    PROGRAM_TYPES_SINCE,
    helper_since,
)
from aiobpf.kernel.first_kfuncs import KFUNCS_SINCE
from aiobpf.uapi import AttachType, LinkType, MapFlags, MapType, ProgramType
from tests.kernel_probes import has_trampolines, option_is_off, refuses_trampolines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiobpf.kernel.features import Answer

pytestmark = pytest.mark.root


def expected(since: str) -> Answer:
    """What the version alone lets expect."""
    major, minor = since.split(".")
    return Supported() if kernel_release() >= (int(major), int(minor)) else Unsupported(since)


def no_trampolines() -> str | None:
    return None if has_trampolines() else refuses_trampolines()


LEFT_OUT: Mapping[ProgramType, Callable[[], str | None]] = {
    ProgramType.LIRC_MODE2: option_is_off("CONFIG_BPF_LIRC_MODE2"),
    ProgramType.LSM: lambda: option_is_off("CONFIG_BPF_LSM")() or no_trampolines(),
    ProgramType.EXT: no_trampolines,
    ProgramType.NETFILTER: option_is_off("CONFIG_NETFILTER_BPF_LINK"),
}
"""Types that a kernel may be built without."""


no_fprobe = option_is_off("CONFIG_FPROBE")
PLACES_LEFT_OUT: Mapping[AttachType | LinkType, Callable[[], str | None]] = {
    AttachType.LIRC_MODE2: option_is_off("CONFIG_BPF_LIRC_MODE2"),
    AttachType.LSM_MAC: LEFT_OUT[ProgramType.LSM],
    AttachType.LSM_CGROUP: LEFT_OUT[ProgramType.LSM],
    AttachType.NETFILTER: LEFT_OUT[ProgramType.NETFILTER],
    AttachType.NETKIT_PRIMARY: option_is_off("CONFIG_NETKIT"),
    AttachType.NETKIT_PEER: option_is_off("CONFIG_NETKIT"),
    AttachType.TRACE_KPROBE_MULTI: no_fprobe,
    AttachType.TRACE_KPROBE_SESSION: no_fprobe,
    **dict.fromkeys(
        (
            AttachType.TRACE_FENTRY,
            AttachType.TRACE_FEXIT,
            AttachType.TRACE_FSESSION,
            AttachType.MODIFY_RETURN,
            LinkType.TRACING,
        ),
        no_trampolines,
    ),
    LinkType.KPROBE_MULTI: no_fprobe,
    LinkType.NETFILTER: LEFT_OUT[ProgramType.NETFILTER],
    LinkType.NETKIT: option_is_off("CONFIG_NETKIT"),
}


@pytest.mark.parametrize("feature", list(Feature), ids=lambda feature: feature.name)
def test_a_feature_is_there_from_its_kernel_on(feature: Feature) -> None:
    assert KernelFeatures().probe(feature) == expected(feature.since)


@pytest.mark.parametrize("feature", list(BtfFeature), ids=lambda feature: feature.name)
def test_a_kind_of_btf_is_taken_from_its_kernel_on(feature: BtfFeature) -> None:
    answer = expected(feature.value.rpartition(", ")[2])
    assert KernelFeatures().probe(feature) == answer
    assert (feature in missing_btf_features()) is (not answer)


@pytest.mark.shows("map_types")
@pytest.mark.parametrize("map_type", list(MapType)[1:], ids=lambda map_type: map_type.name)
def test_a_map_type_is_there_from_its_kernel_on(map_type: MapType) -> None:
    assert KernelFeatures().probe(map_type) == expected(MAP_TYPES_SINCE[map_type])


@pytest.mark.parametrize("program_type", list(ProgramType)[1:], ids=lambda program_type: program_type.name)
def test_a_program_type_is_there_from_its_kernel_on(program_type: ProgramType) -> None:
    answer, since = KernelFeatures().probe(program_type), PROGRAM_TYPES_SINCE[program_type]
    if answer == Unsupported(since) and LEFT_OUT.get(program_type, lambda: None)() is not None:
        return
    assert answer == expected(since)


@pytest.mark.parametrize("place", [*ATTACH_TYPES_SINCE, *LINK_TYPES_SINCE], ids=repr)
def test_a_place_to_attach_to_is_there_from_its_kernel_on(place: AttachType | LinkType) -> None:
    since = ATTACH_TYPES_SINCE[place] if isinstance(place, AttachType) else LINK_TYPES_SINCE[place]
    answer = KernelFeatures().probe(place)
    if answer == Unsupported(since) and PLACES_LEFT_OUT.get(place, lambda: None)() is not None:
        return
    assert answer == expected(since)


def test_every_place_and_flag_has_its_first_kernel() -> None:
    assert ATTACH_TYPES_SINCE.keys() == set(AttachType)
    assert LINK_TYPES_SINCE.keys() == set(LinkType) - {LinkType.UNSPEC}
    assert MAP_FLAGS_SINCE.keys() == set(MapFlags)
    assert all(helper_since(helper) for helper in Helper)
    assert helper_since(max(Helper) + 1) is None


@pytest.mark.parametrize("flag", list(MapFlags), ids=lambda flag: str(flag.name))
def test_a_flag_of_maps_is_there_from_its_kernel_on(flag: MapFlags) -> None:
    assert KernelFeatures().probe(flag) == expected(MAP_FLAGS_SINCE[flag])


def test_a_flag_is_asked_of_a_type_of_map() -> None:
    known = KernelFeatures()
    assert known.probe(MapFlag(MapFlags.NO_PREALLOC, MapType.HASH)) == Supported()
    assert known.probe(MapFlag(MapFlags.NO_PREALLOC, MapType.ARRAY)) == Unsupported()
    assert known.probe(MapFlag(MapFlags.MMAPABLE, MapType.HASH)) == Unsupported()
    assert known.probe(MapFlag(MapFlags.NUMA_NODE, MapType.HASH_OF_MAPS)) == Supported()
    assert known.probe(MapFlag(MapFlags.CLONE, MapType.SK_STORAGE)) == expected("5.4")


def test_a_helper_is_known_from_its_kernel_on() -> None:
    known = KernelFeatures()
    for helper in Helper:
        since = helper_since(helper)
        assert since is not None
        assert known.probe(helper) == expected(since), helper


def test_who_may_call_a_helper_is_what_the_type_is_for() -> None:
    """One helper of each kind of program; the newer ones since their kernel."""
    known = KernelFeatures()

    def may(helper: Helper, program_type: ProgramType) -> Answer:
        return known.probe(HelperCall(helper, program_type))

    assert may(Helper.XDP_ADJUST_HEAD, ProgramType.XDP) == Supported()
    assert may(Helper.XDP_ADJUST_HEAD, ProgramType.SCHED_CLS) == Unsupported()
    assert may(Helper.SKB_STORE_BYTES, ProgramType.SCHED_CLS) == Supported()
    assert may(Helper.MAP_LOOKUP_ELEM, ProgramType.SOCKET_FILTER) == Supported()
    assert may(Helper.MAP_LOOKUP_ELEM, ProgramType.STRUCT_OPS) == Supported()
    assert may(Helper.SEQ_WRITE, ProgramType.TRACING) == Supported()
    assert may(Helper.SEQ_WRITE, ProgramType.XDP) == Unsupported()
    assert may(Helper.LOOP, ProgramType.XDP) == expected("5.17")
    assert may(Helper.SYS_BPF, ProgramType.SYSCALL) == expected("5.14")
    assert may(Helper.KTIME_GET_NS, ProgramType.NETFILTER) == expected("6.4") or not known.probe(ProgramType.NETFILTER)
    assert isinstance(may(Helper.KTIME_GET_NS, ProgramType.EXT), Inconclusive)
    if known.probe(ProgramType.LSM):
        assert may(Helper.BPRM_OPTS_SET, ProgramType.LSM) == expected("5.11")
        assert may(Helper.INODE_STORAGE_GET, ProgramType.LSM) == Supported()


def test_a_kfunc_is_there_from_its_kernel_on() -> None:
    vmlinux = shared_btf_cache().vmlinux()
    left_out = {name for name in KFUNCS_SINCE if "_ct_" in name or "xfrm" in name}  # in modules
    if option_is_off("CONFIG_FS_VERITY")() is not None:
        left_out.add("bpf_get_fsverity_digest")
    for name, since in KFUNCS_SINCE.items():
        if name not in left_out:
            assert bool(vmlinux.all_by_name(name, Function)) == bool(expected(since)), name


@pytest.mark.parametrize(
    ("name", "program_type"),
    [
        ("bpf_task_from_pid", ProgramType.TRACING),
        ("bpf_cast_to_kern_ctx", ProgramType.SCHED_CLS),
        ("bpf_dynptr_from_skb", ProgramType.SCHED_CLS),
        ("bpf_dynptr_from_xdp", ProgramType.XDP),
        ("bpf_xdp_metadata_rx_hash", ProgramType.XDP),
        ("bpf_arena_alloc_pages", ProgramType.SYSCALL),
    ],
)
def test_a_kfunc_may_be_called_by_the_programs_that_it_is_for(name: str, program_type: ProgramType) -> None:
    known = KernelFeatures()
    answer = expected(KFUNCS_SINCE[name])
    assert known.probe(KfuncCall(name)) == answer
    assert known.probe(KfuncCall(name, program_type)) == answer
    if name.startswith(("bpf_dynptr_from", "bpf_xdp")):
        assert not known.probe(KfuncCall(name, ProgramType.SYSCALL))
    if answer:
        assert known.probe(KfuncCall(name, ProgramType.SOCKET_FILTER)) in {Supported(), Unsupported()}


def test_what_is_no_kfunc_may_be_called_by_nobody() -> None:
    assert KernelFeatures().probe(KfuncCall("vfs_read")) == Unsupported()
    assert KernelFeatures().probe(KfuncCall("nothing_at_all", ProgramType.XDP)) == Unsupported()


def test_short_questions_have_the_same_answers() -> None:
    assert supports_map_type(MapType.RINGBUF)
    assert supports_map_type(MapType.BLOOM_FILTER) == bool(expected("5.16"))
    assert supports_program_type(ProgramType.TRACING)
    assert supports_btf()
    assert supports_bpf_cookie() == bool(expected("5.15"))
    assert supports_probe_read_kernel()
