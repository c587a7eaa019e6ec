"""`aiobpf.load`: a collection about to be opened.

What loads objects takes tens of milliseconds to import. That is done where the loading is done, in a worker thread, by
the first load of a process: the event loop goes on meanwhile.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aiobpf.kernel.worker import in_worker
from aiobpf.runtime.attach import Opening

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from anyio import CapacityLimiter

    from aiobpf.btf import Btf
    from aiobpf.collection.collection import Collection, Source
    from aiobpf.kernel.btf import KernelBtfCache
    from aiobpf.kernel.tokens import TokenSource
    from aiobpf.runtime import LogPolicy, Map, Program
    from aiobpf.runtime.kconfig_values import Kconfig

_HOME = "aiobpf.collection.collection"


def load(
    source: Source,
    *,
    replace_maps: Mapping[str, Map] | None = None,
    pin_path: str | PathLike[str] | None = None,
    kernel_btf: Btf | str | PathLike[str] | None = None,
    btf_cache: KernelBtfCache | None = None,
    token: TokenSource = "auto",
    kconfig: Kconfig | None = None,
    programs: Iterable[str] | None = None,
    attach_programs: Mapping[str, Program] | None = None,
    log: LogPolicy | None = None,
    limiter: CapacityLimiter | None = None,
) -> Opening[Collection]:
    """Load an object file or a spec into the kernel: ``async with aiobpf.load("exec.bpf.o") as coll``.

    All or nothing, in the order of the object file; the same source gives the same system calls. Loading never changes
    a spec. A cancelled load leaves nothing behind.

    *source*: a CollectionSpec, a path, or the bytes of an object file.
    *replace_maps*: maps to use instead of the object's own, by name; they are duplicated, and stay the caller's.
    *pin_path*: the folder of a bpffs in which maps that ask for pinning by name are found or made (/sys/fs/bpf).
    *kernel_btf*: types to relocate against instead of the running kernel's; a Btf, or the path of raw BTF or an ELF.
    *btf_cache*: the running kernel's types, shared among loads.
    *token*: a BPF token (`LoadOptions`); by itself one is found in a user namespace with a delegated bpffs.
    *kconfig*: options that count before the kernel's own configuration: lines of a .config, or values by name
    ({"CONFIG_HZ": 250, "CONFIG_X": "m", "CONFIG_S": '"text"', "CONFIG_Y": None}).
    *programs*: load only these (default: all that the object does not mark with "?").
    *attach_programs*: loaded programs that programs of the object attach to, by the name of the one that attaches: the
    target of a freplace program, or of fentry and fexit of a program. ``attach_to`` names the function, by default the
    target's first.
    *log*: when and how much the verifier logs.
    *limiter*: bounds how many loads run at once.

    Raises ElfError, BtfError, SpecError (the source), CoreRelocationError, UnresolvedSymbolError, NotSupportedError (it
    does not fit this kernel), VerifierError, MissingPrivilegeError and other KernelErrors.
    """

    async def open_() -> Collection:
        if not hasattr(sys.modules.get(_HOME), "Collection"):
            await in_worker(_import_what_loads)
        from aiobpf.collection.collection import Collection

        return await Collection.load(
            source,
            replace_maps=replace_maps,
            pin_path=pin_path,
            kernel_btf=kernel_btf,
            btf_cache=btf_cache,
            token=token,
            kconfig=kconfig,
            programs=programs,
            attach_programs=attach_programs,
            log=log,
            limiter=limiter,
        )

    return Opening(open_)


def _import_what_loads() -> None:
    import aiobpf.collection.collection  # noqa: F401
