"""The kernel's enums and numbers."""

from aiobpf.uapi.enums import AttachType, Command, LinkType, MapType, ProgramType
from aiobpf.uapi.flags import MapFlags, ProgramFlags, RunFlags, UpdateFlags

__all__ = [
    "AttachType",
    "Command",
    "LinkType",
    "MapFlags",
    "MapType",
    "ProgramFlags",
    "ProgramType",
    "RunFlags",
    "UpdateFlags",
]
