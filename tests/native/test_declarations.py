"""The C unit, its headers and its type stub say the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import aiobpf._native
from aiobpf._native import lib

NATIVE = Path(aiobpf._native.__file__).parent


def declared() -> set[str]:
    text = "".join(re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL) for header in NATIVE.glob("*.h"))
    return set(re.findall(r"(\w+)\([^)]*\);", text))


def test_the_unit_has_every_function_of_its_headers() -> None:
    assert declared() == {name for name in dir(lib) if callable(getattr(lib, name))}


def test_the_stub_types_every_function() -> None:
    stub = ast.parse((NATIVE / "_lib.pyi").read_text())
    (class_,) = [node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == "Lib"]
    typed = {node.name: len(node.args.posonlyargs) for node in class_.body if isinstance(node, ast.FunctionDef)}
    assert typed.keys() == declared()
    for header in NATIVE.glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
        for name, arguments in re.findall(r"(\w+)\(([^)]*)\);", text):
            assert typed[name] == (0 if arguments == "void" else arguments.count(",") + 1), name


def test_the_stub_lets_no_any_out() -> None:
    assert "Any" not in re.sub(r"#.*", "", (NATIVE / "_lib.pyi").read_text())
