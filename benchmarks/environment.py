"""Where a run took place."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.machine()


def _package(name: str) -> str | None:
    """The version of a Debian package; None on other systems."""
    if shutil.which("dpkg-query") is None:
        return None
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=False)
    return done.stdout or None


def describe(side_cpu: int, harness_cpu: int) -> dict[str, object]:
    """The machine, its kernel and how busy it was; nothing that tells whose it is."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "kernel": platform.release(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "side_cpu": side_cpu,
        "harness_cpu": harness_cpu,
        "python": platform.python_version(),
        "libbpf": _package("libbpf-dev"),
        "load_before": os.getloadavg()[0],
    }
