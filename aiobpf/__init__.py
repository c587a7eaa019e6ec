"""aiobpf: the asyncio/anyio runtime framework for eBPF.

::

    async with aiobpf.load("exec.bpf.o") as coll, coll.attach(), coll.stream("events") as events:
        async for event in events:
            print(event.pid, event.comm)

Names are imported when they are first used: ``import aiobpf`` costs what asyncio, anyio and attrs cost.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiobpf import asm as asm
    from aiobpf import btf as btf
    from aiobpf import compatibility as compatibility
    from aiobpf import errors as errors
    from aiobpf import link as link
    from aiobpf import pins as pins
    from aiobpf import stream as stream
    from aiobpf import uapi as uapi
    from aiobpf.btf import Btf as Btf
    from aiobpf.collection import Attached as Attached
    from aiobpf.collection import Collection as Collection
    from aiobpf.collection import UnknownNameError as UnknownNameError
    from aiobpf.collection.opening import load as load
    from aiobpf.compatibility import TargetKernel as TargetKernel
    from aiobpf.compatibility import check as check
    from aiobpf.elf import read_spec as read_spec
    from aiobpf.errors import AsmError as AsmError
    from aiobpf.errors import BpfError as BpfError
    from aiobpf.errors import BtfError as BtfError
    from aiobpf.errors import ClosedError as ClosedError
    from aiobpf.errors import CodecError as CodecError
    from aiobpf.errors import CompilerError as CompilerError
    from aiobpf.errors import CoreRelocationError as CoreRelocationError
    from aiobpf.errors import ElfError as ElfError
    from aiobpf.errors import IncompatibleTypeError as IncompatibleTypeError
    from aiobpf.errors import KernelError as KernelError
    from aiobpf.errors import LeaseError as LeaseError
    from aiobpf.errors import MapFullError as MapFullError
    from aiobpf.errors import MapIterationError as MapIterationError
    from aiobpf.errors import MapKeyError as MapKeyError
    from aiobpf.errors import MapKeyExistsError as MapKeyExistsError
    from aiobpf.errors import MissingPrivilegeError as MissingPrivilegeError
    from aiobpf.errors import NoSuchObjectError as NoSuchObjectError
    from aiobpf.errors import NotSupportedError as NotSupportedError
    from aiobpf.errors import ObjectExistsError as ObjectExistsError
    from aiobpf.errors import SpecError as SpecError
    from aiobpf.errors import StreamBusyError as StreamBusyError
    from aiobpf.errors import UnresolvedSymbolError as UnresolvedSymbolError
    from aiobpf.errors import VerifierError as VerifierError
    from aiobpf.kernel import ObjectKind as ObjectKind
    from aiobpf.kernel import features as features
    from aiobpf.kernel.btf import KernelBtfCache as KernelBtfCache
    from aiobpf.kernel.btf import kernel_btf as kernel_btf
    from aiobpf.link import Link as Link
    from aiobpf.linker import link_objects as link_objects
    from aiobpf.runtime import BtfObject as BtfObject
    from aiobpf.runtime import CgroupStorageKey as CgroupStorageKey
    from aiobpf.runtime import CpuMapValue as CpuMapValue
    from aiobpf.runtime import DevMapValue as DevMapValue
    from aiobpf.runtime import LogPolicy as LogPolicy
    from aiobpf.runtime import Map as Map
    from aiobpf.runtime import PerCpu as PerCpu
    from aiobpf.runtime import Program as Program
    from aiobpf.runtime import Variable as Variable
    from aiobpf.runtime import enable_stats as enable_stats
    from aiobpf.runtime import holders as holders
    from aiobpf.spec import CollectionSpec as CollectionSpec
    from aiobpf.spec import MapSpec as MapSpec
    from aiobpf.spec import ProgramSpec as ProgramSpec
    from aiobpf.spec import VariableSpec as VariableSpec
    from aiobpf.stream import PerfBuffer as PerfBuffer
    from aiobpf.stream import RingBuffer as RingBuffer
    from aiobpf.uapi import AttachType as AttachType
    from aiobpf.uapi import MapFlags as MapFlags
    from aiobpf.uapi import MapType as MapType
    from aiobpf.uapi import ProgramFlags as ProgramFlags
    from aiobpf.uapi import ProgramType as ProgramType
    from aiobpf.uapi import RunFlags as RunFlags
    from aiobpf.uapi import UpdateFlags as UpdateFlags

_HOMES = {
    "aiobpf.btf": "Btf",
    "aiobpf.collection": "Attached Collection UnknownNameError",
    "aiobpf.collection.opening": "load",
    "aiobpf.compatibility": "TargetKernel check",
    "aiobpf.elf": "read_spec",
    "aiobpf.errors": (
        "AsmError BpfError BtfError ClosedError CodecError CompilerError CoreRelocationError ElfError "
        "IncompatibleTypeError KernelError LeaseError MapFullError MapIterationError MapKeyError MapKeyExistsError "
        "MissingPrivilegeError NoSuchObjectError NotSupportedError ObjectExistsError SpecError StreamBusyError "
        "UnresolvedSymbolError VerifierError"
    ),
    "aiobpf.kernel": "ObjectKind",
    "aiobpf.kernel.btf": "KernelBtfCache kernel_btf",
    "aiobpf.link": "Link",
    "aiobpf.linker": "link_objects",
    "aiobpf.runtime": (
        "BtfObject CgroupStorageKey CpuMapValue DevMapValue LogPolicy Map PerCpu Program Variable enable_stats holders"
    ),
    "aiobpf.spec": "CollectionSpec MapSpec ProgramSpec VariableSpec",
    "aiobpf.stream": "PerfBuffer RingBuffer",
    "aiobpf.uapi": "AttachType MapFlags MapType ProgramFlags ProgramType RunFlags UpdateFlags",
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names.split()}
_MODULES = {
    name: f"aiobpf.{name}" for name in ("asm", "btf", "compatibility", "errors", "link", "pins", "stream", "uapi")
}
_MODULES["features"] = "aiobpf.kernel.features"

__all__ = sorted({*_NAMES, *_MODULES})  # noqa: PLE0605 - one list, above


def __getattr__(name: str) -> object:
    if name in _MODULES:
        value: object = import_module(_MODULES[name])
    elif name in _NAMES:
        value = getattr(import_module(_NAMES[name]), name)
    else:
        raise AttributeError(f"module 'aiobpf' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
