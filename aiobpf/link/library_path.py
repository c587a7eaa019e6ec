"""Which file a uprobe means: "libc", "libssl.so.3", "bash", or a path.

libbpf looks through a fixed list of directories, which is wrong where a distribution keeps its libraries elsewhere; the
dynamic linker's own cache, and what a process has mapped, are right everywhere.
"""

from __future__ import annotations

import errno
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from aiobpf.errors import SpecError, kernel_error
from aiobpf.link.ld_cache import (
    CACHE_PATH,
    is_library_named,
    native_abi,
    parse_ld_cache,
    pick_library,
    version_of,
)
from aiobpf.symbols.archive import split_archive
from aiobpf.symbols.mappings import file_mappings

if TYPE_CHECKING:
    from aiobpf.symbols.mappings import Mapping


def resolve_binary(name: str, pid: int | None = None) -> str:
    """The path to open for the binary *name*; reads files, so call it in a worker thread.

    With a "/" it is a path already, or that of a library in an archive (``base.apk!/lib/libapp.so``). Else, in this
    order: what process *pid* has mapped; for a name with ".so" the libraries (LD_LIBRARY_PATH, ld.so.cache, the usual
    directories), for any other the programs on PATH and then the libraries. Raises KernelError (ENOENT), naming where
    it looked.
    """
    if "/" in name:
        if not os.path.exists(split_archive(name)[0]):
            raise kernel_error(errno.ENOENT, "open", f"binary {name!r}")
        return name
    looked = []
    if pid is not None:
        path = _mapped_by(name, pid or None)
        if path is not None:
            return path
        looked.append(f"what process {pid or os.getpid()} has mapped")
    if ".so" not in name:
        program = _program(name)
        if program is not None:
            return program
        looked.append("PATH")
    library = _library(name)
    if library is not None:
        return library
    looked.append(f"{CACHE_PATH} and the library directories")
    raise kernel_error(errno.ENOENT, "find", f"binary {name!r}", f"Looked through {', '.join(looked)}")


def _mapped_by(name: str, pid: int | None) -> str | None:
    for mapping in file_mappings(pid):
        file_name = os.path.basename(mapping.path)
        if mapping.is_executable and (file_name == name or is_library_named(name, file_name)):
            return _reachable(mapping, pid)
    return None


def _reachable(mapping: Mapping, pid: int | None) -> str:
    """A path by which *this* process opens the very file that *pid* has mapped.

    A uprobe belongs to an inode. In a container the path names another file here, or none; after an upgrade the old
    file is unlinked while it still runs.
    """
    root = f"/proc/{'self' if pid is None else pid}"
    for path in (mapping.path, f"{root}/root{mapping.path}"):
        try:
            stat = os.stat(path)
        except OSError:
            continue
        if stat.st_ino == mapping.inode:  # not the device: btrfs and overlayfs show another one in maps
            return path
    return f"{root}/map_files/{mapping.start:x}-{mapping.end:x}"


def _program(name: str) -> str | None:
    for directory in [*_directories("PATH"), "/usr/bin", "/usr/sbin"]:
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and _is_elf(path):  # a script (a pyenv shim) hides the binary that it starts
            return path
    return None


def _library(name: str) -> str | None:
    for directory in _directories("LD_LIBRARY_PATH"):
        path = _newest_in(directory, name)
        if path is not None:
            return path
    try:
        cache = parse_ld_cache(Path(CACHE_PATH).read_bytes())
    except (OSError, SpecError):
        cache = []  # musl has none; one that is damaged must not hide a library that lies where it always does
    path = pick_library(cache, name, native_abi())
    if path is not None and os.path.exists(path):
        return path
    triple = sysconfig.get_config_var("MULTIARCH")
    usual = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"]
    if isinstance(triple, str) and triple:
        usual[:0] = [f"/lib/{triple}", f"/usr/lib/{triple}"]
    for directory in usual:
        path = _newest_in(directory, name)
        if path is not None:
            return path
    return None


def _directories(variable: str) -> list[str]:
    return [directory for directory in os.environ.get(variable, "").split(":") if directory]


def _newest_in(directory: str, name: str) -> str | None:
    exact = os.path.join(directory, name)
    if os.path.isfile(exact) and _is_elf(exact):
        return exact
    try:
        names = [entry for entry in os.listdir(directory) if is_library_named(name, entry)]
    except OSError:
        return None
    for candidate in sorted(names, key=version_of, reverse=True):
        path = os.path.join(directory, candidate)
        if _is_elf(path):
            return path
    return None


def _is_elf(path: str) -> bool:
    """Not every libx.so is a library: libc.so in a development package is a text for the linker."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False
