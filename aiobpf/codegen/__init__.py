"""Typed bindings: a Python module made from an object file, which type checkers and editors understand."""

from aiobpf.codegen.module import generate

__all__ = ["generate"]
