"""Programs, maps and variables in the kernel.

Names are imported when first used: a program that loads an object asks for nobody else's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiobpf.runtime.all_objects import AllObjects as AllObjects
    from aiobpf.runtime.attach import AttachKind as AttachKind
    from aiobpf.runtime.attach import Closeable as Closeable
    from aiobpf.runtime.attach import Opening as Opening
    from aiobpf.runtime.btf_object import BtfObject as BtfObject
    from aiobpf.runtime.load_context import LoadContext as LoadContext
    from aiobpf.runtime.map import Map as Map
    from aiobpf.runtime.map_key import MAP as MAP
    from aiobpf.runtime.network_value import CpuMapValue as CpuMapValue
    from aiobpf.runtime.network_value import DevMapValue as DevMapValue
    from aiobpf.runtime.options import LoadOptions as LoadOptions
    from aiobpf.runtime.options import LogPolicy as LogPolicy
    from aiobpf.runtime.owner_key import CgroupStorageKey as CgroupStorageKey
    from aiobpf.runtime.percpu import PerCpu as PerCpu
    from aiobpf.runtime.processes import holders as holders
    from aiobpf.runtime.program import Program as Program
    from aiobpf.runtime.program_load import Prepared as Prepared
    from aiobpf.runtime.program_target import ProgramTarget as ProgramTarget
    from aiobpf.runtime.statistics import RunTimeStatistics as RunTimeStatistics
    from aiobpf.runtime.statistics import enable_stats as enable_stats
    from aiobpf.runtime.variable import Section as Section
    from aiobpf.runtime.variable import Variable as Variable

__all__ = [
    "MAP",
    "AllObjects",
    "AttachKind",
    "BtfObject",
    "CgroupStorageKey",
    "Closeable",
    "CpuMapValue",
    "DevMapValue",
    "LoadContext",
    "LoadOptions",
    "LogPolicy",
    "Map",
    "Opening",
    "PerCpu",
    "Prepared",
    "Program",
    "ProgramTarget",
    "RunTimeStatistics",
    "Section",
    "Variable",
    "enable_stats",
    "holders",
]

# A name and a module that spell the same would take turns under one attribute: no module is called like a name here.
_HOMES = {
    "all_objects": "AllObjects",
    "attach": "AttachKind Closeable Opening",
    "btf_object": "BtfObject",
    "load_context": "LoadContext",
    "map": "Map",
    "map_key": "MAP",
    "network_value": "CpuMapValue DevMapValue",
    "options": "LoadOptions LogPolicy",
    "owner_key": "CgroupStorageKey",
    "percpu": "PerCpu",
    "processes": "holders",
    "program": "Program",
    "program_load": "Prepared",
    "program_target": "ProgramTarget",
    "statistics": "RunTimeStatistics enable_stats",
    "variable": "Section Variable",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
