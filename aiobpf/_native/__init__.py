"""The one C unit: what Python cannot say. It knows no policy, returns -errno, and lets go of the GIL around each call.

`ffi` and `lib` are cffi's; the types of every function are in ``_lib.pyi``, the reasons in the C files beside it.
"""

from __future__ import annotations

from aiobpf._native._lib import ffi, lib

__all__ = ["ffi", "lib"]
