"""A static linker: several objects as one spec."""

from aiobpf.linker.link import link_objects

__all__ = ["link_objects"]
