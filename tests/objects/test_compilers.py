"""One source, compiled by clang 14, by clang 19 and by the newest that PyPI has, is one spec: all but its code."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf.elf import read_spec
from aiobpf.uapi import MapType
from tests.objects.build import WITHOUT_BTF, headers, name_of, sources

if TYPE_CHECKING:
    from pathlib import Path

    from aiobpf.spec import CollectionSpec, MapSpec

COMPILERS = {
    "clang-14": ("clang-14",),
    "clang-19": ("clang-19",),
    "newest": (sys.executable, "-m", "ziglang", "clang"),
}
TOO_NEW = {
    "arena": "address spaces are cast since clang 19",
    "arena_strict": "address spaces are cast since clang 19",
    "arena_user": "address spaces are cast since clang 19",
    "core": "bpf_core_type_matches came with clang 15",
    "local_scope": "a number of 64 bits in a map's definition needs enums of 64 bits, clang 15",
    "congestion": "clang 14 describes no function of another file that only data refers to",
    "tables": "clang 14 describes no function of another file that only data refers to",
}
"""Which clang 14 compiles to something else, or not at all."""


def command(name: str) -> tuple[str, ...]:
    if name == "newest":
        if importlib.util.find_spec("ziglang") is None:
            pytest.skip("no ziglang")
    elif shutil.which(name) is None:
        pytest.skip(f"no {name}")
    return COMPILERS[name]


def compiled(name: str, source: Path, folder: Path, target: str) -> CollectionSpec:
    output = folder / f"{name}.bpf.o"
    debug = [] if name_of(source) in WITHOUT_BTF else ["-g"]
    options = ["-mcpu=v3", "-O2", *debug, *headers(source), "-D__TARGET_ARCH_x86"]
    arguments = [*command(name), "-target", target, *options, "-c", source.name, "-o", str(output)]
    done = subprocess.run(arguments, cwd=source.parent, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return read_spec(output)


def of_map(spec: MapSpec) -> dict[str, Any]:
    return {
        "type": spec.type, "key_size": spec.key_size, "value_size": spec.value_size, "max_entries": spec.max_entries,
        "flags": spec.flags, "key": str(spec.key), "value": str(spec.value), "pinning": spec.pinning, "tags": spec.tags,
        "inner": None if spec.inner is None else of_map(spec.inner), "extra": spec.map_extra, "section": spec.section,
        "frozen": spec.is_frozen,
        # The bytes of a section, and of an arena, are in the variables: where each lies in it is the compiler's choice.
        "contents": None if spec.section or spec.type is MapType.ARENA else spec.contents,
    }  # fmt: skip


def outline(spec: CollectionSpec) -> dict[str, Any]:
    """What the source says, and not how a compiler turned it into instructions and places."""
    return {
        "maps": {name: of_map(each) for name, each in spec.maps.items() if not name.startswith(".rodata.str")},
        "programs": {
            name: (each.type, each.section, each.attach_type, each.attach_to, each.flags, each.license, each.autoload)
            for name, each in spec.programs.items()
        },
        "variables": {
            name: (each.section, each.size, str(each.type), bytes(each.raw)) for name, each in spec.variables.items()
        },
        "externs": {name: (each.kind, each.is_weak, str(each.type)) for name, each in spec.externs.items()},
        "functions": set(spec.functions),
    }


@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
@pytest.mark.parametrize("source", sources(), ids=name_of)
@pytest.mark.parametrize("compiler", ["clang-14", "newest"])
def test_a_source_is_the_same_spec_whichever_clang_compiled_it(
    compiler: str, source: Path, target: str, tmp_path: Path
) -> None:
    if compiler == "clang-14" and name_of(source) in TOO_NEW:
        return
    one, other = (outline(compiled(name, source, tmp_path, target)) for name in ("clang-19", compiler))
    for part, found in one.items():
        assert other[part] == found, part
