"""How to load: everything a load may be told, in one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from anyio import CapacityLimiter

    from aiobpf.btf import Btf
    from aiobpf.kernel.btf import KernelBtfCache
    from aiobpf.runtime.kconfig_values import Kconfig
    from aiobpf.runtime.program import Program


@frozen
class LogPolicy:
    """When the verifier writes its log, and how much.

    Quiet first: a program that loads needs no log, and writing one costs. Refused, it is loaded once more at *level*
    with a buffer of *size* bytes; one that is too small grows to what the kernel says it needs (6.4), else by steps of
    four, up to *max_size*. A log that is longer yet is kept in part: its end since 6.4, its beginning before. `always`
    asks for the log of programs that load as well; it is then their `Program.log`. Levels are the kernel's: 1 errors
    and states, 2 every way that was walked, 4 statistics only. Before 5.18 level 1 has states at branches alone: a
    program refused there is asked about once more at level 2, if its log fits.
    """

    level: int = 1
    size: int = 1 << 16
    max_size: int = 1 << 24
    """Before 5.12 no kernel takes more. A program of a million verified instructions can fill three times that."""
    always: bool = False
    """Ask for the log in the first try already, at this level alone."""


@frozen
class LoadOptions:
    """What `aiobpf.load` passes on to each map and program.

    *kernel_btf* replaces the running kernel's types for CO-RE (a path or a Btf); *btf_cache* shares the running
    kernel's among loads; *token* is the fd of a BPF token (6.9); *kconfig* has options that count before the running
    kernel's configuration. *attach_programs* are programs in the kernel that programs of this load attach to (freplace,
    fentry and fexit of a program), by the name of the one that attaches.
    """

    kernel_btf: Btf | str | PathLike[str] | None = None
    btf_cache: KernelBtfCache | None = None
    token: int | None = None
    kconfig: Kconfig | None = None
    log: LogPolicy = LogPolicy()
    attach_programs: Mapping[str, Program] = Factory(dict)
    limiter: CapacityLimiter | None = None
