"""Packages whose names are imported when they are first used: all are there, and nothing else is told of."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

PACKAGES = ("btf", "collection", "kernel", "link", "runtime", "stream", "symbols")


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(f"aiobpf.{request.param}")


def homes(package: ModuleType) -> dict[str, str]:
    """The module of each name."""
    return {name: f"{package.__name__}.{home}" for home, names in package._HOMES.items() for name in names.split()}


def test_every_name_is_there(package: ModuleType) -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert dir(package) == sorted(package.__all__)
    assert sorted(homes(package)) == sorted(package.__all__)


def test_type_checkers_see_the_same_names(package: ModuleType) -> None:
    assert package.__file__ is not None
    seen = re.findall(r"^    from (\S+) import (\w+) as \2$", Path(package.__file__).read_text(), re.MULTILINE)
    assert {name: module for module, name in seen} == homes(package)


def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        package.nonsense


def test_no_module_hides_a_name(package: ModuleType) -> None:
    for module in set(homes(package).values()):
        import_module(module)
    for name in package.__all__:
        assert not isinstance(getattr(package, name), ModuleType)
