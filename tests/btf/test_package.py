"""The package's names: all there, each imported when first used."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from aiobpf import btf


def test_every_name_is_there() -> None:
    for name in btf.__all__:
        assert getattr(btf, name) is not None
    assert dir(btf) == sorted(btf.__all__)
    assert sorted(btf._MODULES) == sorted(btf.__all__)


def test_type_checkers_see_the_same_names() -> None:
    assert btf.__file__ is not None
    seen = re.findall(r"^    from (\S+) import (\w+) as \2$", Path(btf.__file__).read_text(), re.MULTILINE)
    assert {name: module for module, name in seen} == {
        name: f"aiobpf.btf.{module}" for name, module in btf._MODULES.items()
    }


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        btf.nonsense


def test_no_module_hides_a_name() -> None:
    for module in set(btf._MODULES.values()):
        import_module(f"aiobpf.btf.{module}")
    for name in btf.__all__:
        assert not hasattr(getattr(btf, name), "__path__")
        assert type(getattr(btf, name)).__name__ != "module"


def test_opening_a_btf_imports_neither_codecs_nor_core() -> None:
    code = (
        "import sys; from aiobpf.btf import Btf, BtfBuilder; Btf.from_bytes(BtfBuilder().encode());"
        "print(*(name for name in sys.modules if 'codec' in name and 'aiobpf' in name or 'core_' in name))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert [name for name in found if name.startswith("aiobpf")] == []
