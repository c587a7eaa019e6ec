"""What a guest boots from: a Debian kernel's .deb files, unpacked once; an initramfs that finds the host's files."""

from __future__ import annotations

import fcntl
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
BOOT_MODULES = ("virtio_pci", "virtiofs", "overlay", "virtio_console", "virtio_rng")
FOLDER, SCRIPT, FILE = 0o40755, 0o100755, 0o100644  # modes in the archive


def fail(message: str) -> NoReturn:
    """End with vmrun's own status."""
    print(f"vmrun: {message}", file=sys.stderr)
    raise SystemExit(125)


@frozen
class Image:
    """A kernel that can be booted: everything lies below the folder of its packages."""

    vmlinuz: Path
    modules: Path
    initrd: Path
    config: Path
    release: str


@frozen
class ArchiveFile:
    name: str
    mode: int
    content: bytes = b""


def cpio(files: Iterable[ArchiveFile]) -> bytes:
    """A newc archive. The kernel unpacks several that follow one another as if they were one."""
    out = bytearray()
    for inode, file in enumerate([*files, ArchiveFile("TRAILER!!!", 0)], 1):
        name = file.name.encode() + b"\0"
        numbers = (inode, file.mode, 0, 0, 1, 0, len(file.content), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08x" % number for number in numbers) + name
        out += b"\0" * (-len(out) % 4) + file.content
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def prepare(folder: Path) -> Image:
    """The image of the .deb files in *folder*, made anew only when they or the scripts have changed."""
    work = folder / ".vmrun"
    with (folder / ".vmrun.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = sorted(folder.glob("*.deb"))
        if not packages:
            fail(f"no .deb in {folder}")
        stamp = "\n".join([*_scripts(), *BOOT_MODULES, *(f"{deb.name} {deb.stat().st_size}" for deb in packages)])
        if not (work / "stamp").exists() or (work / "stamp").read_text() != stamp:
            _make(work, packages)
            (work / "stamp").write_text(stamp)
        release = (work / "release").read_text()
        return Image(work / "vmlinuz", work / "modules", work / "initrd", work / "config", release)


def _scripts() -> tuple[str, str]:
    return (HERE / "init.sh").read_text(), (HERE / "stage2.sh").read_text()


def _make(work: Path, packages: list[Path]) -> None:
    shutil.rmtree(work, ignore_errors=True)
    unpacked = work / "x"
    unpacked.mkdir(parents=True)
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
    modules = _take_kernel(unpacked, work)
    _link_modules(modules)
    for config in [*unpacked.glob("boot/config-*"), *modules.glob("config")]:
        shutil.copy(config, work / "config")
    (work / "modules").symlink_to(modules.relative_to(work))
    (work / "initrd").write_bytes(cpio(_initrd_files(modules)))
    (work / "release").write_text(modules.name)
    shutil.rmtree(unpacked)


def _take_kernel(unpacked: Path, work: Path) -> Path:
    """Move the kernel and its modules out of *unpacked*; the folder of the modules, named after the release."""
    images = [
        path
        for path in [*unpacked.glob("boot/vmlinuz*"), *unpacked.glob("usr/lib/modules/*/vmlinuz")]
        if path.is_file()
    ]
    trees = [path for path in [*unpacked.glob("lib/modules/*"), *unpacked.glob("usr/lib/modules/*")] if path.is_dir()]
    if len(images) != 1 or len(trees) != 1:
        fail(f"{work.parent}: want one vmlinuz and one module tree, got {images} {trees}")
    modules = work / "root" / "lib" / "modules" / trees[0].name
    modules.parent.mkdir(parents=True)
    shutil.move(images[0], work / "vmlinuz")
    shutil.move(trees[0], modules)
    return modules


def _link_modules(modules: Path) -> None:
    """Write the modules' index. busybox's insmod and depmod want them plain."""
    for packed in modules.rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    subprocess.run(["busybox", "depmod", "-b", modules.parent.parent.parent, modules.name], check=True)


def _module_name(path: str) -> str:
    return re.sub(r"\.ko$", "", os.path.basename(path)).replace("-", "_")


def _boot_order(modules: Path) -> list[str]:
    """The modules that a guest needs before it has a root file system, each after those that it depends on."""
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    paths = {_module_name(path): path for path in needs}
    order: list[str] = []

    def add(path: str) -> None:
        if path not in order:
            for other in needs[path]:
                add(other)
            order.append(path)

    for name in BOOT_MODULES:
        if name in paths:  # else it is built in
            add(paths[name])
    return order


def _initrd_files(modules: Path) -> list[ArchiveFile]:
    init, stage2 = _scripts()
    order = _boot_order(modules)
    return [
        *(ArchiveFile(name, FOLDER) for name in ("bin", "dev", "proc", "sys", "mod", "vmrun")),
        ArchiveFile("bin/busybox", SCRIPT, Path("/bin/busybox").read_bytes()),
        ArchiveFile("init", SCRIPT, init.encode()),
        ArchiveFile("vmrun/stage2", FILE, stage2.encode()),
        *(ArchiveFile(f"mod/{_module_name(path)}.ko", FILE, (modules / path).read_bytes()) for path in order),
        ArchiveFile("mod/order", FILE, "".join(f"{_module_name(path)}.ko\n" for path in order).encode()),
    ]
