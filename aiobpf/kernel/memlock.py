"""RLIMIT_MEMLOCK, which bounded maps and programs before Linux 5.11."""

from __future__ import annotations

import resource

from aiobpf.kernel.release import kernel_release


def raise_memlock_limit() -> bool:
    """Lift RLIMIT_MEMLOCK of this process where the kernel still charges BPF memory to it; whether it did.

    Since 5.11 (97306be45fbe) that memory counts against the memory cgroup instead and this does nothing; an older
    kernel is asked, as distributions carried that back. Without CAP_SYS_RESOURCE it goes as far as the hard limit.
    """
    if kernel_release() >= (5, 11) or _counts_against_cgroup():
        return False
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    return True


def _counts_against_cgroup() -> bool:
    from aiobpf.kernel.features import Feature, Supported, kernel_features

    return kernel_features().probe(Feature.MEMCG_ACCOUNTING) == Supported()
