"""The .kconfig section's contents: the kernel's configuration, as the object's externs ask for it.

``extern int CONFIG_HZ __kconfig`` is read from the running kernel's configuration; some names are virtual and answered
by the loader: LINUX_KERNEL_VERSION, LINUX_HAS_BPF_COOKIE, LINUX_HAS_SYSCALL_WRAPPER.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aiobpf.errors import UnresolvedSymbolError
from aiobpf.kernel import features
from aiobpf.kernel.kallsyms import has_syscall_wrapper
from aiobpf.kernel.kconfig import kernel_config
from aiobpf.kernel.release import kernel_version_code
from aiobpf.spec.kconfig import encode_option, parse_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiobpf.spec import Extern


def kconfig_contents(size: int, externs: Iterable[Extern]) -> bytes:
    """The *size* bytes of .kconfig for the running kernel.

    UnresolvedSymbolError for an option that the configuration does not set and that is not weak; SpecError where the
    value does not fit the extern's type.
    """
    externs = list(externs)
    options: Mapping[str, str] = {}
    if any(extern.name.startswith("CONFIG_") for extern in externs):
        options = kernel_config()
    data = bytearray(size)
    for extern in externs:
        value = _virtual(extern.name)
        if value is None:
            text = options.get(extern.name)
            if text is None:
                if extern.is_weak:
                    continue  # reads as 0
                raise UnresolvedSymbolError(
                    f"the kernel's configuration does not set {extern.name}; declare it __weak to read 0 then",
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
