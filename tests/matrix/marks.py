"""Which tests carry which rows of the yardstick, read from their source."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parent.parent


def tests_of_rows() -> dict[str, list[str]]:
    """The tests of each row, as ``tests/link/test_x.py::test_name``."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text()
        if "shows(" not in text:
            continue
        tree = ast.parse(text)
        lists = {name: _rows_in(node) for node in tree.body for name in _assigned(node)}
        whole_file = [row for node in tree.body if _is_pytestmark(node) for row in _rows_in(node)]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                rows = [row for decorator in node.decorator_list for row in _rows_in(decorator)]
                named = [
                    each.id
                    for decorator in node.decorator_list
                    for each in ast.walk(decorator)
                    if isinstance(each, ast.Name)
                ]
                rows += [row for name in named for row in lists.get(name, ())]
                for row in dict.fromkeys([*rows, *whole_file]):
                    found[row].append(f"{path.relative_to(TESTS.parent)}::{node.name}")
    return found


def _assigned(node: ast.stmt) -> list[str]:
    """The names that *node* gives a value: lists of parameters have marks too."""
    if not isinstance(node, ast.Assign):
        return []
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _is_pytestmark(node: ast.stmt) -> bool:
    return "pytestmark" in _assigned(node)


def _rows_in(node: ast.AST) -> list[str]:
    """The arguments of each ``shows(...)`` inside (parameters of a parametrized test have their own)."""
    return [
        argument.value
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "shows"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
