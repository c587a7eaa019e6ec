"""Which kernel runs."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

_SIGNATURE = Path("/proc/version_signature")


def kernel_release() -> tuple[int, int]:
    """(major, minor) of the running kernel. Features are probed; this is for hints and for what cannot be probed."""
    major, minor, _ = kernel_version()
    return major, minor


@cache  # it does not change while a process lives, and each load asks
def kernel_version() -> tuple[int, int, int]:
    """(major, minor, patch), the version that programs may depend on (KERNEL_VERSION of linux/version.h).

    As libbpf finds it: Ubuntu and Debian put a number of their own into the release, and the upstream one elsewhere.
    """
    uname = os.uname()
    try:
        signature = _SIGNATURE.read_text()  # Ubuntu: "Ubuntu 4.15.0-55.60-generic 4.15.18"
    except OSError:
        signature = ""
    return parse_kernel_version(uname.release, uname.version, signature)


def kernel_version_code() -> int:
    """LINUX_VERSION_CODE of the running kernel: patch levels above 255 count as 255."""
    major, minor, patch = kernel_version()
    return major << 16 | minor << 8 | min(patch, 255)


def parse_kernel_version(release: str, version: str = "", signature: str = "") -> tuple[int, int, int]:
    """From the three texts; what is missing counts as 0.

    *version* is uname's, as Debian's "#1 SMP Debian 5.10.46-1"; *signature* Ubuntu's file.
    """
    text = release
    if len(words := signature.split()) == 3:
        text = words[2]
    elif match := re.search(r"Debian (\d+\.\d+\.\d+)", version):
        text = match[1]
    match = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", text)
    if match is None:
        return 0, 0, 0
    major, minor, patch = (int(part or 0) for part in match.groups())
    return major, minor, patch
