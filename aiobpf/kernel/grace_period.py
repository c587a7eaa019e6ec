"""Waiting until what runs in the kernel now has come to its end."""

from __future__ import annotations

from aiobpf._native import lib

_GLOBAL = 1  # MEMBARRIER_CMD_GLOBAL (4.3): synchronize_rcu (kernel/sched/membarrier.c)


def wait_for_running_programs() -> bool:
    """Return once every program that runs now, but for sleepable ones, has ended; some ms.

    False where the kernel does not offer to wait (CONFIG_MEMBARRIER off, or nohz_full in use).
    """
    return lib.sys_membarrier(_GLOBAL) == 0
