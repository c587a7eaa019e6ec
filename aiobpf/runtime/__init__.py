"""Programs, maps and variables in the kernel."""

from aiobpf.runtime.all_objects import AllObjects
from aiobpf.runtime.attach import AttachKind, Closeable, Opening
from aiobpf.runtime.btf_object import BtfObject
from aiobpf.runtime.load_context import LoadContext
from aiobpf.runtime.map import Map
from aiobpf.runtime.map_key import MAP
from aiobpf.runtime.network_value import CpuMapValue, DevMapValue
from aiobpf.runtime.options import LoadOptions, LogPolicy
from aiobpf.runtime.owner_key import CgroupStorageKey
from aiobpf.runtime.percpu import PerCpu
from aiobpf.runtime.processes import holders
from aiobpf.runtime.program import Program
from aiobpf.runtime.program_load import Prepared
from aiobpf.runtime.program_target import ProgramTarget
from aiobpf.runtime.statistics import RunTimeStatistics, enable_stats
from aiobpf.runtime.variable import Section, Variable

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
