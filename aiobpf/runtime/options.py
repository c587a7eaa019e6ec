"""How to load: everything a load may be told, in one value."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from attrs import Attribute, Factory, field, frozen

from aiobpf.btf import Btf
from aiobpf.errors import SpecError
from aiobpf.kernel.tokens import AUTO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio import CapacityLimiter

    from aiobpf.kernel.btf import KernelBtfCache
    from aiobpf.kernel.tokens import TokenSource
    from aiobpf.runtime.kconfig_values import Kconfig
    from aiobpf.runtime.program import Program

_LARGEST_LOG = (1 << 30) - 1  # UINT_MAX >> 2, since 5.12 (kernel/bpf/log.c: bpf_verifier_log_attr_valid)


def _of_kind(what: str, *kinds: type) -> Callable[[object, Attribute[Any], Any], None]:
    """Refuses a value of another kind before anything is loaded: it would fail in the middle, by an attribute."""

    def check(options: object, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise SpecError(f"{attribute.name} is {what}, not {value!r}")

    return check


def _token(options: object, attribute: Attribute[Any], value: Any) -> None:
    is_one = isinstance(value, (int, str, PathLike)) or hasattr(value, "fileno")
    if value is not None and (not is_one or isinstance(value, bool)):
        raise SpecError(f'token is a descriptor of a BPF token, the directory of a bpffs or "auto", not {value!r}')


def _between(least: int, most: int) -> Callable[[object, Attribute[Any], Any], None]:
    def check(policy: object, attribute: Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or not least <= value <= most:
            raise SpecError(f"a log's {attribute.name} is a number from {least} to {most}, not {value!r}")

    return check


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

    level: int = field(default=1, validator=_between(1, 7))
    size: int = field(default=1 << 16, validator=_between(1, _LARGEST_LOG))
    max_size: int = field(default=1 << 24, validator=_between(1, _LARGEST_LOG))
    """Before 5.12 no kernel takes more. A program of a million verified instructions can fill three times that."""
    always: bool = False
    """Ask for the log in the first try already, at this level alone."""


@frozen
class LoadOptions:
    """What `aiobpf.load` passes on to each map and program.

    *kernel_btf* replaces the running kernel's types for CO-RE (a path or a Btf); *btf_cache* shares the running
    kernel's among loads; *token* is a BPF token (6.9): its descriptor, the directory of a
    delegated bpffs to make one of, "auto" for one of the first such bpffs that is mounted (nothing is looked for in the
    first user namespace, where capabilities count), None for none; *kconfig* has options that count before the running
    kernel's configuration. *attach_programs* are programs in the kernel that programs of this load attach to (freplace,
    fentry and fexit of a program), by the name of the one that attaches.
    """

    kernel_btf: Btf | str | PathLike[str] | None = field(
        default=None, validator=_of_kind("a Btf or the path of a file", Btf, str, PathLike)
    )
    btf_cache: KernelBtfCache | None = None
    token: TokenSource = field(default=AUTO, validator=_token)
    kconfig: Kconfig | None = None
    log: LogPolicy = field(default=LogPolicy(), validator=_of_kind("a LogPolicy", LogPolicy))
    attach_programs: Mapping[str, Program] = Factory(dict)
    limiter: CapacityLimiter | None = None
