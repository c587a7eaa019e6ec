"""Only what pyproject.toml cannot say: the one C unit, built by cffi in API mode as a stable-ABI module."""

from setuptools import setup

setup(
    cffi_modules=["aiobpf/_native/build.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
