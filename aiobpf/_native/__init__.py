"""The C units: what Python cannot say. They know no policy.

The functions return -errno, and let go of the GIL around each call. The types in `_objects` are those of which a
program makes millions a second.

`ffi` and `lib` are cffi's; the types of every function are in ``_lib.pyi``, the reasons in the C files beside it.
"""

from __future__ import annotations

from aiobpf._native._lib import ffi, lib

__all__ = ["ffi", "lib"]
