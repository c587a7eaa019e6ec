"""Kernels as Debian's packages have them: found with apt and kept below a cache, never installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from attrs import frozen

CACHE = Path(os.environ.get("AIOBPF_KERNELS") or Path.home() / ".cache" / "aiobpf" / "kernels")
MIRROR = os.environ.get("AIOBPF_DEBIAN_MIRROR", "http://deb.debian.org")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# Where a version is found if this machine's own apt does not know it.
SUITES = {
    "5.10": ("debian bullseye", "debian-security bullseye-security"),
    "6.1": ("debian bookworm", "debian-security bookworm-security"),
    "6.12": ("debian trixie", "debian-security trixie-security"),
}
LATER = ("debian trixie-backports",)

# From 7.0 on linux-image-* is nearly empty, and these hold the kernel, its modules and its configuration.
PARTS = ("binary", "modules", "base")


@frozen
class Apt:
    """apt with a state of its own, or this machine's: *options* say which."""

    options: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path, suites: tuple[str, ...]) -> Apt:
        """One that knows *suites* and nothing else; it works as any user, and leaves this machine's apt alone."""
        lists, cache = folder / "lists", folder / "cache"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        (cache / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        lines = []
        for suite in suites:
            archive, name = suite.split()
            lines.append(f"deb [arch=amd64 signed-by={KEYRING}] {MIRROR}/{archive} {name} main\n")
        (folder / "sources.list").write_text("".join(lines))
        settings = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::Lists": lists,
            "Dir::State::status": "/dev/null",
            "Dir::Cache": cache,
            "APT::Architecture": "amd64",
            "Acquire::Languages": "none",
        }
        apt = cls(tuple(f"-o{name}={value}" for name, value in settings.items()))
        subprocess.run(["apt-get", *apt.options, "update", "-q"], check=True)
        return apt

    def newest(self, version: str) -> str | None:
        """The newest cloud kernel of *version* ("6.12"); None if there is none. Signed and unsigned sort alike."""
        pattern = rf"^linux-image-{re.escape(version)}\.[^-]*(-[0-9]+)?-cloud-amd64$"
        names = self._names(pattern)
        return max(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)], default=None)

    def with_parts(self, image: str) -> list[str]:
        """*image* and the packages beside it that hold what it does not."""
        suffix = image.removeprefix("linux-image-")
        return [image, *self._names(rf"^linux-({'|'.join(PARTS)})-{re.escape(suffix)}$")]

    def download(self, packages: list[str], folder: Path) -> None:
        subprocess.run(["apt-get", *self.options, "download", "-q", *packages], check=True, cwd=folder)

    def _names(self, pattern: str) -> list[str]:
        search = ["apt-cache", *self.options, "search", "--names-only", pattern]
        listing = subprocess.run(search, check=True, capture_output=True, text=True).stdout
        return [line.split()[0] for line in listing.splitlines()]


def fetch(version: str) -> Path:
    """The folder with the .deb files of kernel *version*, fetched if it is not there yet."""
    folder = CACHE / version
    if not list(folder.glob("*.deb")):
        folder.mkdir(parents=True, exist_ok=True)
        apt, image = _find(version)
        # A download that was cut short must not look like a kernel: it becomes one by a rename, when it is whole.
        with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as incoming:
            os.chmod(incoming, 0o755)  # apt gives up root to download, and wants to write there
            apt.download(apt.with_parts(image), Path(incoming))
            for package in Path(incoming).glob("*.deb"):
                package.rename(folder / package.name)
    return folder


def _find(version: str) -> tuple[Apt, str]:
    if shutil.which("apt-get") is None:
        raise SystemExit(f"no apt here: put the .deb files of a Debian kernel {version} into {CACHE / version}")
    own = Apt()
    image = own.newest(version)
    if image is not None:
        return own, image
    suites = SUITES.get(version, LATER)
    other = Apt.of(CACHE / "apt" / version, suites)
    image = other.newest(version)
    if image is None:
        raise SystemExit(f"neither this machine's apt nor {', '.join(suites)} has a kernel {version}")
    return other, image
