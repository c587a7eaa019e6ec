"""A kernel that need not run: its types, and whatever else is known of it."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import define, field

from aiobpf.btf import Btf, Enum, Function, Kind, Struct
from aiobpf.btf.compressed import decompressed
from aiobpf.btf.elf_section import ELF_MAGIC, find_section
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping
    from os import PathLike
    from typing import Self

    from aiobpf.btf import Type

T = TypeVar("T", bound="Type")

_VMLINUX: Final = "vmlinux"
_SUFFIXES: Final = re.compile(r"(?:\.(?:btf|ko|xz|gz))+\Z")
_VERSION: Final = re.compile(r"(?<![\d.])(\d{1,3})\.(\d{1,4})(?:\.(\d{1,6}))?")


@define(eq=False, slots=False)
class TargetKernel:
    """What programs are checked against. All of it is data; nothing is asked of the machine at hand.

    *modules* are the types that modules add, by the module's name: None where nothing is known of modules, so that what
    vmlinux lacks may still be in one. *config* is the configuration ("CONFIG_HZ" to "250"), *symbols* the names in
    kallsyms or System.map; None where they are not known. *version* is what LINUX_KERNEL_VERSION comes to.
    """

    name: str
    btf: Btf
    modules: Mapping[str, Btf] | None = field(default=None, repr=False)
    config: Mapping[str, str] | None = field(default=None, repr=False)
    symbols: Container[str] | None = field(default=None, repr=False)
    version: tuple[int, int, int] | None = None

    @classmethod
    def from_files(
        cls,
        path: str | PathLike[str],
        *modules: str | PathLike[str],
        name: str | None = None,
        config: Mapping[str, str] | None = None,
        symbols: Container[str] | None = None,
    ) -> Self:
        """The kernel whose BTF is in the file *path*, with that of *modules*; raw or in ELF, and maybe compressed.

        *path* may be a folder like /sys/kernel/btf: vmlinux, and a file for each module. A kernel that modules are
        given for has no others. The name and the version are taken from the file's name ("6.12.9-amd64.btf.xz").
        Raises BtfError, which names the file, and OSError.
        """
        path = Path(path)
        files = [Path(each) for each in modules]
        is_folder = path.is_dir()
        folder = path
        if is_folder:
            present = sorted(each for each in path.iterdir() if each.is_file())
            found = [each for each in present if module_name(each) == _VMLINUX] or [
                each for each in present if each.name.startswith(_VMLINUX)
            ]
            if not found:
                raise BtfError(f"{path}: there is no file called vmlinux")
            path = found[0]
            files += [each for each in present if each not in found]
        btf = Btf.from_file(path)
        given = folder if is_folder else path
        release = _SUFFIXES.sub("", given.name)
        plain = os.fspath(given) if release in {"", "btf", _VMLINUX} else release
        return cls(
            name=name or plain,
            btf=btf,
            modules={module_name(each): _read_module(each, btf) for each in files} if files or is_folder else None,
            config=config,
            symbols=symbols,
            version=version_in(name or release),
        )

    # --- looking up ---------------------------------------------------------------------------------------------------

    def find_all(self, name: str, kind: type[T], module: str | None = None) -> Iterator[tuple[T, str | None]]:
        """The types of that name and kind, each with its module (None: vmlinux); or those in *module* alone."""
        if module in {None, _VMLINUX}:
            for found in self.btf.all_by_name(name, kind):
                yield found, None
        for each, btf in (self.modules or {}).items():
            if module in {None, each}:
                for found in btf.all_by_name(name, kind):
                    if btf.base is None or btf.id_of(found) >= btf.first_id:
                        yield found, each

    def find(self, name: str, kind: type[T], module: str | None = None) -> tuple[T, str | None] | None:
        """The first of `find_all`."""
        return next(self.find_all(name, kind, module), None)

    @property
    def is_complete(self) -> bool:
        """Whether what is found nowhere is not there: the modules are known as well."""
        return self.modules is not None

    def enumerators(self, enum: str) -> frozenset[int] | None:
        """The values of an enum of the kernel's ("bpf_map_type"); None if its BTF does not have it."""
        if enum not in self._enumerators:
            found = self.btf.all_by_name(enum, Enum)
            # The last ones only count: __BPF_FUNC_MAX_ID, __MAX_BPF_MAP_TYPE.
            values = {each.value for one in found for each in one.enumerators if not each.name.startswith("__")}
            self._enumerators[enum] = frozenset(values) if found else None
        return self._enumerators[enum]

    @cached_property
    def _enumerators(self) -> dict[str, frozenset[int] | None]:
        return {}

    @cached_property
    def program_types(self) -> frozenset[str] | None:
        """The program types that it was built with ("XDP"): the contexts in struct bpf_ctx_convert; None if unknown.

        The enum has every type of its version, whatever the configuration; this struct is made from the same list as
        the verifier's table of types (kernel/bpf/btf.c, 5.5).
        """
        for found in self.btf.all_by_name("bpf_ctx_convert", Struct):
            names = [member.name for member in found.members]
            return frozenset(
                name.removeprefix("BPF_PROG_TYPE_").removesuffix("_prog") for name in names if name.endswith("_prog")
            )
        return None

    @cached_property
    def verifies_lazily(self) -> bool | None:
        """Whether global functions that nobody calls are left alone (2afae08c9dcb in 6.8, which left this trace)."""
        for found in self.btf.all_by_name("bpf_func_info_aux", Struct):
            return any(member.name == "called" for member in found.members)
        return None

    @cached_property
    def has_kfuncs(self) -> bool:
        """Whether programs may call kernel functions at all (5.13: this struct came with it)."""
        return bool(self.btf.all_by_name("bpf_kfunc_desc_tab", Struct))

    @cached_property
    def tags_kfuncs(self) -> bool:
        """Whether its BTF says which functions programs may call (pahole 1.26, 6.10): then the others may not."""
        return any("bpf_kfunc" in self.btf.tags_of(self.btf.id_of(found)) for found in self._some_kfuncs())

    def _some_kfuncs(self) -> list[Function]:
        # There since kfuncs are; one that is tagged shows that the others are.
        names = ("bpf_task_acquire", "bpf_task_from_pid", "bpf_cast_to_kern_ctx", "bpf_rdonly_cast", "bpf_obj_new_impl")
        return [found for name in names for found in self.btf.all_by_name(name, Function)]

    def is_kfunc(self, function: Function, module: str | None) -> bool:
        """Whether programs may call *function*, as far as BTF tells."""
        if not self.tags_kfuncs:
            return self.has_kfuncs
        btf = self.btf if module is None else (self.modules or {})[module]
        return "bpf_kfunc" in btf.tags_of(btf.id_of(function))

    @cached_property
    def has_tracepoints(self) -> bool:
        """Whether its BTF names tracepoints at all: the scheduler's are in every kernel that can trace."""
        return bool(self.btf.all_by_name("btf_trace_sched_switch", Kind.TYPEDEF))


def version_in(name: str) -> tuple[int, int, int] | None:
    """The version that a kernel's release or file name begins with, or has after a dash: "vmlinux-6.1.0-13-amd64"."""
    match = _VERSION.search(name)
    if match is None:
        return None
    major, minor, patch = (int(part or 0) for part in match.groups())
    return major, minor, patch


def module_name(path: Path) -> str:
    """The kernel's name of the module in a file: "nf-conntrack.ko.xz" is nf_conntrack."""
    return _SUFFIXES.sub("", path.name).replace("-", "_")


def _read_module(path: Path, vmlinux: Btf) -> Btf:
    data = decompressed(path.read_bytes())
    # Modules from outside of the kernel's tree bring what they need of its types (.BTF.base, 6.12).
    is_alone = data[:4] == ELF_MAGIC and find_section(data, ".BTF.base") is not None
    return Btf.from_file(path, None if is_alone else vmlinux)
