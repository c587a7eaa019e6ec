"""The running kernel's own types."""

from __future__ import annotations

import os
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, final

from attrs import frozen

from aiobpf.btf import Btf
from aiobpf.errors import BtfError, NotSupportedError
from aiobpf.kernel.ids import ObjectKind, all_ids, btf_by_id
from aiobpf.kernel.info import btf_info
from aiobpf.kernel.worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.btf import Type
    from aiobpf.kernel.fd import OwnedFd

_SYSFS = Path("/sys/kernel/btf")
_ELF_PLACES = (  # as libbpf: kernels before 5.4 have no /sys/kernel/btf
    "/boot/vmlinux-{0}",
    "/lib/modules/{0}/vmlinux-{0}",
    "/lib/modules/{0}/build/vmlinux",
    "/usr/lib/modules/{0}/kernel/vmlinux",
    "/usr/lib/debug/boot/vmlinux-{0}",
    "/usr/lib/debug/boot/vmlinux-{0}.debug",
    "/usr/lib/debug/lib/modules/{0}/vmlinux",
)


@frozen
class KernelType:
    """A type of the running kernel, as programs refer to it."""

    type: Type
    type_id: int
    btf: Btf
    module: str | None
    """None for vmlinux."""
    btf_fd: int | None
    """The module's BTF object, good as long as the cache that found it is open; None for vmlinux."""


@final
class KernelBtfCache:
    """The types of vmlinux and of the modules, opened when first asked for and kept. Threads may share it.

    Kept by content: a module that was loaded again with other types is read again, and one that is the same is not. The
    descriptors of the modules' BTF objects, which a load needs, are kept until `close`.
    """

    def __init__(self, directory: str | os.PathLike[str] = _SYSFS) -> None:
        self._directory = Path(directory)
        self._lock = threading.RLock()
        self._vmlinux: Btf | None = None
        self._modules: dict[str, tuple[bytes, Btf]] = {}  # by name: the hash of its bytes
        self._broken: dict[str, tuple[bytes, str]] = {}  # likewise, and what is wrong
        self._fds: dict[str, tuple[int, OwnedFd]] = {}  # by name: the id of the BTF object

    def vmlinux(self) -> Btf:
        """The kernel's types. NotSupportedError where it has none to offer, BtfError where they are garbled."""
        with self._lock:
            if self._vmlinux is None:
                self._vmlinux = self._open_vmlinux()
            return self._vmlinux

    def _open_vmlinux(self) -> Btf:
        release = os.uname().release
        places = [self._directory / "vmlinux"]
        if self._directory == _SYSFS:
            places += [Path(place.format(release)) for place in _ELF_PLACES]
        for place in places:
            try:
                return Btf.from_file(place)
            except FileNotFoundError:
                continue
            except BtfError:
                if place == places[0]:
                    raise
            except PermissionError:
                if place == places[-1]:
                    raise
        raise NotSupportedError(
            "the kernel's types", hint=f"There is no {places[0]}: it needs Linux 5.4 with CONFIG_DEBUG_INFO_BTF"
        )

    def module(self, name: str) -> Btf:
        """The types that a loaded module adds to the kernel's (5.11).

        NotSupportedError if there are none, BtfError if they are garbled.
        """
        if name == "vmlinux":
            return self.vmlinux()
        if "/" in name or name in {"", ".", ".."}:
            raise ValueError(f"no name of a module: {name!r}")
        path = self._directory / name.replace("-", "_")  # the kernel's own spelling of module names
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotSupportedError(
                f"types of module {name!r}", hint=f"There is no {path}: it is not loaded, or built without BTF"
            ) from None
        from hashlib import blake2b  # brings OpenSSL, for modules alone

        digest = blake2b(data, digest_size=16).digest()
        with self._lock:
            known = self._modules.get(path.name)
            if known is not None and known[0] == digest:
                return known[1]
            broken = self._broken.get(path.name)
            if broken is not None and broken[0] == digest:
                raise BtfError(broken[1])
            try:
                btf = Btf.from_bytes(data, base=self.vmlinux())
            except BtfError as error:
                self._broken[path.name] = digest, f"{path}: {error}"
                raise BtfError(f"{path}: {error}") from None
            self._modules[path.name] = digest, btf
            return btf

    def module_names(self) -> list[str]:
        """The loaded modules with types, in alphabetical order. None before 5.11."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name != "vmlinux")

    def modules(self) -> list[Btf]:
        """The types of every loaded module; what is no longer loaded is forgotten.

        A module whose types are garbled is left out, with a RuntimeWarning that names it, the first time.
        """
        return [btf for _, btf in self._readable_modules()]

    def _readable_modules(self) -> Iterator[tuple[str, Btf]]:
        """Each loaded module with its types, opened as it is asked for."""
        names = self.module_names()
        with self._lock:
            for known in (self._modules, self._broken):
                for name in known.keys() - set(names):
                    del known[name]
        for name in names:
            was_broken = self._broken.get(name)
            try:
                yield name, self.module(name)
            except NotSupportedError:  # unloaded since it was listed
                continue
            except BtfError as error:
                # One module, built with other tools than the kernel, must not keep programs out that it has nothing
                # to do with.
                if self._broken.get(name) != was_broken:
                    message = f"the types of module {name!r} are left out, as they cannot be read: {error}"
                    warnings.warn(message, RuntimeWarning, stacklevel=3)

    def find(self, name: str, kind: type[Type], *, module: str | None = None) -> KernelType | None:
        """The type of that name and kind in vmlinux, else in the modules in alphabetical order; or in *module* alone.

        None where there is none. Where several share the name, the first. A module with garbled types is left out as
        by `modules`, unless it is the one asked for: BtfError. KernelError if a module's BTF object cannot be opened
        (CAP_SYS_ADMIN).
        """
        return next(self.find_all(name, kind, module=module), None)

    def find_all(self, name: str, kind: type[Type], *, module: str | None = None) -> Iterator[KernelType]:
        """As `find`, every one of them; the modules are opened only if nobody stops at those of vmlinux."""
        if module in {None, "vmlinux"}:
            btf = self.vmlinux()
            for found in btf.all_by_name(name, kind):
                yield KernelType(found, btf.id_of(found), btf, None, None)
            if module is not None:
                return
        for each, btf in self._readable_modules() if module is None else self._one_module(module):
            for found in btf.all_by_name(name, kind):
                number = btf.id_of(found)
                if number >= btf.first_id:  # its own, not vmlinux's
                    yield KernelType(found, number, btf, each, self.module_fd(each))

    def _one_module(self, name: str) -> list[tuple[str, Btf]]:
        try:
            return [(name, self.module(name))]
        except NotSupportedError:
            return []

    def module_fd(self, name: str) -> int:
        """The descriptor of the module's BTF object, good until `close`: programs that refer to its types are loaded
        with it. NotSupportedError where no such module is loaded, or it has no types."""
        wanted = name.replace("-", "_")
        with self._lock:
            kept = self._fds.get(wanted)
            # From the newest: a module that was loaded again has a new object, and somebody may still hold the old.
            for number in sorted(all_ids(ObjectKind.BTF), reverse=True):
                if kept is not None and kept[0] == number:
                    return kept[1].fileno()
                try:
                    fd = btf_by_id(number)
                except FileNotFoundError:
                    continue
                info = btf_info(fd)
                if info.is_kernel and info.name == wanted:
                    if kept is not None:
                        kept[1].close()
                    self._fds[wanted] = number, fd
                    return fd.fileno()
                fd.close()
        raise NotSupportedError(f"the BTF object of module {name!r}", hint="It is not loaded, or built without BTF")

    def close(self) -> None:
        """Close the descriptors; the types stay good. Idempotent, and the cache can be used again."""
        with self._lock:
            while self._fds:
                self._fds.popitem()[1][1].close()

    def __del__(self) -> None:
        # A cache that goes is no mistake: no warning for what it kept.
        for _, fd in getattr(self, "_fds", {}).values():
            fd.close()


@cache
def shared_btf_cache() -> KernelBtfCache:
    """The cache of this process, made when first asked for; what is given no other uses it."""
    return KernelBtfCache()


async def kernel_btf(
    module: str | None = None,
    *,
    id: int | None = None,  # noqa: A002 the field's own word
    btf_cache: KernelBtfCache | None = None,
) -> Btf:
    """The running kernel's types, or those that a loaded module adds to them; opened once a process, in a worker.

    With *id*, those of the kernel's BTF object of that id: any process's (`aiobpf.kernel.btf_objects` lists them).

    NotSupportedError where the kernel has none (before 5.4, or without CONFIG_DEBUG_INFO_BTF) or the module is not
    loaded. *btf_cache* instead of the process's own.
    """
    known = btf_cache or shared_btf_cache()
    if id is not None:
        if module is not None:
            raise ValueError("a module's name or an id, not both")
        from aiobpf.kernel.loaded_btf import read_btf

        return await in_worker(lambda: read_btf(id, btf_cache=known))
    return await in_worker(known.vmlinux) if module is None else await in_worker(known.module, module)
