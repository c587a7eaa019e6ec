"""The committed objects are what their sources make."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


def load_build() -> Any:
    spec = importlib.util.spec_from_file_location("build_objects", Path(__file__).with_name("build.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


@pytest.mark.skipif(build.find_clang() is None, reason="needs clang with the BPF target")
def test_the_committed_objects_are_what_their_sources_make() -> None:
    assert build.check() == []


def test_every_source_has_its_objects_and_no_object_has_a_path_of_a_machine() -> None:
    names = [source.name for source in build.sources()]
    assert {"exec_monitor.bpf.c", "xdp_peer_counters.bpf.c", "perf_sampler.bpf.c"} <= set(names)
    assert len(names) == len(set(names))
    for source in build.sources():
        for _, file in build.targets(source):
            data = (source.parent / file).read_bytes()
            assert b"/include/" not in data
            assert bytes(build.REPOSITORY) not in data
