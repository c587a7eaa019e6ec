"""Flag words of bpf(2), by the kernel's own names (include/uapi/linux/bpf.h, 7.3)."""

from __future__ import annotations

from enum import IntFlag


class MapFlags(IntFlag):
    """map_flags of BPF_MAP_CREATE (BPF_F_*)."""

    NO_PREALLOC = 1 << 0
    NO_COMMON_LRU = 1 << 1
    NUMA_NODE = 1 << 2
    RDONLY = 1 << 3
    WRONLY = 1 << 4
    STACK_BUILD_ID = 1 << 5
    ZERO_SEED = 1 << 6
    RDONLY_PROG = 1 << 7
    WRONLY_PROG = 1 << 8
    CLONE = 1 << 9
    MMAPABLE = 1 << 10
    PRESERVE_ELEMS = 1 << 11
    INNER_MAP = 1 << 12
    LINK = 1 << 13
    PATH_FD = 1 << 14
    VTYPE_BTF_OBJ_FD = 1 << 15
    TOKEN_FD = 1 << 16
    SEGV_ON_FAULT = 1 << 17
    NO_USER_CONV = 1 << 18
    RB_OVERWRITE = 1 << 19


class UpdateFlags(IntFlag):
    """flags of BPF_MAP_UPDATE_ELEM and its kin (BPF_ANY and so on)."""

    ANY = 0
    NOEXIST = 1
    EXIST = 2
    LOCK = 4
    CPU = 8
    ALL_CPUS = 16


class RunFlags(IntFlag):
    """flags of BPF_PROG_TEST_RUN (BPF_F_TEST_*)."""

    RUN_ON_CPU = 1 << 0
    XDP_LIVE_FRAMES = 1 << 1
    SKB_CHECKSUM_COMPLETE = 1 << 2


class ProgramFlags(IntFlag):
    """prog_flags of BPF_PROG_LOAD (BPF_F_*)."""

    STRICT_ALIGNMENT = 1 << 0
    ANY_ALIGNMENT = 1 << 1
    TEST_RND_HI32 = 1 << 2
    TEST_STATE_FREQ = 1 << 3
    SLEEPABLE = 1 << 4
    XDP_HAS_FRAGS = 1 << 5
    XDP_DEV_BOUND_ONLY = 1 << 6
    TEST_REG_INVARIANTS = 1 << 7
    TOKEN_FD = 1 << 16
