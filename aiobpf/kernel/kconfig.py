"""The configuration that the running kernel was built with."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from aiobpf.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_BYTES = 16 << 20


def kernel_config() -> dict[str, str]:
    """``CONFIG_NAME`` to its value as text: "y", "m", "1000", '"string"' with its quotes; what is not set is not there.

    From /proc/config.gz, else /boot/config-RELEASE and the places where distributions put it. NotSupportedError when
    there is none.
    """
    tried = []
    for path in _candidates(os.uname().release):
        try:
            data = path.read_bytes()
        except OSError:
            tried.append(str(path))
            continue
        return parse_kernel_config(data)
    raise NotSupportedError(
        "the kernel's configuration", hint=f"Linux with CONFIG_IKCONFIG_PROC has it; not found: {', '.join(tried)}"
    )


def parse_kernel_config(data: bytes) -> dict[str, str]:
    """A .config file, gzipped or not. Invariant: any bytes give a dict, or NotSupportedError, from 16 MiB at most."""
    if data.startswith(b"\x1f\x8b"):
        try:
            import gzip

            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(_MAX_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise NotSupportedError("a kernel configuration that is no gzip file") from error
    return dict(_settings(data[:_MAX_BYTES].decode(errors="replace").splitlines()))


def _settings(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and name.startswith("CONFIG_"):
            yield name, value.strip()


def _candidates(release: str) -> list[Path]:
    return [
        Path("/proc/config.gz"),
        Path(f"/boot/config-{release}"),
        Path(f"/lib/modules/{release}/config"),
        Path(f"/usr/lib/modules/{release}/config"),
        Path(f"/usr/lib/ostree-boot/config-{release}"),
    ]
