"""Programs, maps and variables in the kernel.

Names are imported when first used: a program that loads an object asks for nobody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.lazy_names import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
