"""Only what pyproject.toml cannot say: the C units, built as stable-ABI modules. cffi makes one, in API mode; the other
is of Python objects, which cffi cannot make."""

from setuptools import Extension, setup

OBJECTS = "aiobpf/_native/objects"
UNITS = ["module", "fields", "event", "event_run", "event_reader", "lease"]

setup(
    cffi_modules=["aiobpf/_native/build.py:ffibuilder"],
    ext_modules=[
        Extension(
            "aiobpf._native._objects",
            sources=[f"{OBJECTS}/{unit}.c" for unit in UNITS],
            include_dirs=[OBJECTS],
            depends=[f"{OBJECTS}/objects.h"],
            define_macros=[("Py_LIMITED_API", "0x030b0000")],
            extra_compile_args=["-O2", "-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden"],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
