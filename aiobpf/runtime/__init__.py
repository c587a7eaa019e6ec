"""Programs, maps and variables in the kernel."""

from aiobpf.runtime.attach import AttachKind, Closeable, Opening
from aiobpf.runtime.load_context import LoadContext
from aiobpf.runtime.map import Map
from aiobpf.runtime.map_key import MAP
from aiobpf.runtime.options import LoadOptions, LogPolicy
from aiobpf.runtime.percpu import PerCpu
from aiobpf.runtime.program import Program
from aiobpf.runtime.program_load import Prepared
from aiobpf.runtime.variable import Section, Variable

__all__ = [
    "MAP",
    "AttachKind",
    "Closeable",
    "LoadContext",
    "LoadOptions",
    "LogPolicy",
    "Map",
    "Opening",
    "PerCpu",
    "Prepared",
    "Program",
    "Section",
    "Variable",
]
