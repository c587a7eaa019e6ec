"""What an object needs from the kernel by name, told before the kernel is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiobpf.asm import REFERENCE, Reference
from aiobpf.btf import DataSection, Function, Linkage
from aiobpf.elf import read_spec
from aiobpf.spec import EXTERN, ExternKind

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.spec import CollectionSpec


@pytest.fixture(params=["externs.bpf.o", "externs.eb.bpf.o"])
def spec(request: pytest.FixtureRequest, objects: Path) -> CollectionSpec:
    return read_spec(objects / request.param)


def test_externs_of_each_kind(spec: CollectionSpec) -> None:
    kinds = {name: (extern.kind, extern.is_weak) for name, extern in spec.externs.items()}
    assert kinds == {
        "LINUX_KERNEL_VERSION": (ExternKind.KCONFIG, False),
        "CONFIG_HZ": (ExternKind.KCONFIG, False),
        "CONFIG_BPF_SYSCALL": (ExternKind.KCONFIG, False),
        "CONFIG_IPV6": (ExternKind.KCONFIG, False),
        "CONFIG_CC_VERSION_TEXT": (ExternKind.KCONFIG, False),
        "CONFIG_NO_SUCH_OPTION": (ExternKind.KCONFIG, True),
        "runqueues": (ExternKind.KSYM, False),
        "schedule": (ExternKind.KSYM, False),
        "no_such_symbol": (ExternKind.KSYM, True),
        "bpf_task_from_pid": (ExternKind.KFUNC, False),
        "bpf_task_release": (ExternKind.KFUNC, False),
        "no_such_function": (ExternKind.KFUNC, True),
    }


def test_configuration_values_lie_in_one_read_only_map(spec: CollectionSpec) -> None:
    kconfig = spec.maps[".kconfig"]
    assert kconfig.is_frozen
    assert kconfig.contents == {}
    section = kconfig.value
    assert isinstance(section, DataSection)
    assert section.size == kconfig.value_size
    end = 0
    for each in section.variables:
        extern = spec.externs[each.variable.name]
        assert (extern.offset, extern.size) == (each.offset, each.size)
        assert each.offset >= end
        assert each.variable.linkage is Linkage.GLOBAL
        end = each.offset + each.size
    assert end == section.size
    assert not spec.externs.keys() & spec.variables.keys()


def test_loads_of_configuration_are_loads_from_that_map(spec: CollectionSpec) -> None:
    instructions = spec.programs["configuration"].instructions
    found = {extern.name for _, extern in instructions.with_key(EXTERN)}
    assert found == {name for name, extern in spec.externs.items() if extern.kind is ExternKind.KCONFIG}
    for index, extern in instructions.with_key(EXTERN):
        _, _, src, _, constant = instructions.fields(index)
        assert (src, constant) == (2, extern.offset << 32)
        assert instructions.get_metadata(index, REFERENCE) == Reference(".kconfig", extern.name)


def test_symbols_with_a_type_are_loaded_by_btf_and_others_by_address(spec: CollectionSpec) -> None:
    instructions = spec.programs["symbols"].instructions
    sources = {extern.name: instructions.fields(index)[2] for index, extern in instructions.with_key(EXTERN)}
    assert sources == {"runqueues": 3, "schedule": 0, "no_such_symbol": 0}
    assert spec.externs["schedule"].type is None
    assert spec.externs["runqueues"].type is not None


def test_kernel_functions_are_called_as_such(spec: CollectionSpec) -> None:
    instructions = spec.programs["functions"].instructions
    calls = [
        (extern.name, instructions.fields(index)[2])
        for index, extern in instructions.with_key(EXTERN)
        if instructions.fields(index)[0] == 0x85
    ]
    assert calls == [("bpf_task_from_pid", 2), ("bpf_task_release", 2), ("no_such_function", 2)]
    assert isinstance(spec.externs["bpf_task_release"].type, Function)
    assert instructions.encode(spec.byte_order)  # nothing of them is looked for among the program's own functions
