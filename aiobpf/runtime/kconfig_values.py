"""The .kconfig section's contents: the kernel's configuration, as the object's externs ask for it.

Some names are virtual and answered by the loader: LINUX_KERNEL_VERSION, LINUX_HAS_BPF_COOKIE,
LINUX_HAS_SYSCALL_WRAPPER.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from aiobpf.errors import NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.kernel import features
from aiobpf.kernel.kallsyms import has_syscall_wrapper
from aiobpf.kernel.kconfig import kernel_config, parse_kernel_config
from aiobpf.kernel.release import kernel_version_code
from aiobpf.spec.kconfig import encode_option, parse_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.spec import Extern

Kconfig: TypeAlias = "str | Mapping[str, str | int | None]"
"""Options that count before the kernel's own: lines as a .config has them, or values by name. A str is text as there
('"a string"' has its quotes), a bool is y or n, None is an option that is not set."""

_OPTION: Final = "CONFIG_"


def read_options(given: Kconfig | None) -> dict[str, str | None]:
    """*given* as the text of each option, None for one that is not set; SpecError for what is no option."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return dict(parse_kernel_config(given.encode()))
    options: dict[str, str | None] = {}
    for name, value in given.items():
        if not name.startswith(_OPTION):
            raise SpecError(f"kconfig has {name!r}, which is no option: their names begin with {_OPTION}")
        if isinstance(value, bool):
            options[name] = "y" if value else "n"
        elif value is None or isinstance(value, str):
            options[name] = value
        elif isinstance(value, int):
            options[name] = str(value)
        else:
            raise SpecError(f"kconfig has {name!r} as {type(value).__name__}: str, int, bool or None is needed")
    return options


def kconfig_contents(size: int, externs: Iterable[Extern], given: Kconfig | None = None) -> bytes:
    """The *size* bytes of .kconfig for the running kernel, of whose configuration *given* overrides what it has.

    The kernel's configuration is read only for what *given* does not say. UnresolvedSymbolError for an option that
    neither sets and that is not weak; NotSupportedError where one is not weak and the kernel shows no configuration;
    SpecError where a value does not fit the extern's type.
    """
    externs = list(externs)
    options = read_options(given)
    wanted = [extern for extern in externs if extern.name.startswith(_OPTION) and extern.name not in options]
    if wanted:
        try:
            options = {**kernel_config(), **options}
        except NotSupportedError:
            if not all(extern.is_weak for extern in wanted):
                raise
    data = bytearray(size)
    for extern in externs:
        value = _virtual(extern.name)
        if value is None:
            text = options.get(extern.name)
            if text is None:
                if extern.is_weak:
                    continue  # reads as 0
                raise UnresolvedSymbolError(
                    f"the kernel's configuration does not set {extern.name}; declare it __weak to read 0 then, or give "
                    f"it: load(..., kconfig={{{extern.name!r}: ...}})",
                    extern.name,
                )
            value = parse_option(extern.name, text)
        data[extern.offset : extern.offset + extern.size] = encode_option(extern, value, sys.byteorder)
    return bytes(data)


def _virtual(name: str) -> int | None:
    if name == "LINUX_KERNEL_VERSION":
        return kernel_version_code()
    if name == "LINUX_HAS_BPF_COOKIE":
        return int(features.supports_bpf_cookie())
    if name == "LINUX_HAS_SYSCALL_WRAPPER":
        return int(has_syscall_wrapper())
    return None
