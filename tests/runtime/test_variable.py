"""Memory that is shared with programs: who has it, for how long, and what is left of it."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import pytest

from aiobpf.btf import Forward, Int
from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.errors import ClosedError, CodecError, KernelError, MissingPrivilegeError, SpecError
from aiobpf.runtime import Map, Section, Variable
from aiobpf.runtime.map_create import create_map
from aiobpf.spec import MapSpec, VariableSpec
from aiobpf.uapi import MapFlags, MapType
from tests.conftest import open_fds

OBJECTS = Path(__file__).parent.parent / "objects"
U64 = Int("unsigned long", 8)

pytestmark = pytest.mark.root


def array(**changes: object) -> Map:
    values: dict[str, object] = {
        "name": ".data", "type": MapType.ARRAY, "key_size": 4, "value_size": 16, "max_entries": 1,
        "flags": MapFlags.MMAPABLE,
    }  # fmt: skip
    return create_map(MapSpec(**(values | changes)))  # type: ignore[arg-type]


def variable(section: Section, *, offset: int = 0, size: int = 8, type_: object = U64) -> Variable:
    spec = MapSpec(name=".data", type=MapType.ARRAY)
    return Variable(
        VariableSpec(name="x", section=".data", offset=offset, size=size, type=type_, map=spec),  # type: ignore[arg-type]
        section,
    )


def mappings() -> int:
    return Path("/proc/self/maps").read_text().count("bpf-map")


def test_variables_hold_no_descriptor_of_their_own() -> None:
    loaded = load_collection(OBJECTS / "globals.bpf.o", LoadPlan())
    before = open_fds()
    for each in loaded.variables.values():
        assert each.value is not None
    assert open_fds() == before
    assert mappings() == len({each.section for each in loaded.variables.values()})
    loaded.close()
    assert mappings() == 0


def test_a_closed_section_is_a_named_error_mapped_before_or_not() -> None:
    for is_mapped in (True, False):
        data = array()
        section = Section(data, is_read_only=False)
        x = variable(section)
        if is_mapped:
            x.value = 5
        section.close()
        with pytest.raises(ClosedError, match=r"\.data"):
            x.value
        with pytest.raises(ClosedError):
            x.value = 1
        assert mappings() == 0
        data.close()


def test_the_variables_of_a_map_that_was_taken_out_close_with_their_collection() -> None:
    loaded = load_collection(OBJECTS / "globals.bpf.o", LoadPlan())
    data = loaded.maps[".data"]
    loaded.release(data)
    in_it = next(each for each in loaded.variables.values() if each.section == ".data")
    loaded.close()
    with pytest.raises(ClosedError):
        in_it.value
    assert not data.is_closed
    data.close()


def test_threads_that_read_while_another_closes_meet_an_error_at_worst() -> None:
    for _ in range(20):
        data = array()
        section = Section(data, is_read_only=False)
        x = variable(section)
        unexpected: list[BaseException] = []
        started = threading.Barrier(4)

        def hammer(
            x: Variable = x, started: threading.Barrier = started, seen: list[BaseException] = unexpected
        ) -> None:
            started.wait()
            try:
                while True:
                    x.value = 7
                    assert x.value == 7
            except ClosedError:
                pass
            except BaseException as error:
                seen.append(error)

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        section.close()
        data.close()
        for thread in threads:
            thread.join()
        assert unexpected == []
        assert mappings() == 0


def test_untyped_variables_are_bytes() -> None:
    with array()._fd as fd:
        section = Section(Map.from_fd(fd), is_read_only=False)
        for type_ in (None, Forward("opaque", is_union=False)):
            x = variable(section, offset=4, size=3, type_=type_)
            x.value = b"abc"
            assert x.value == b"abc"
            with pytest.raises(CodecError, match=r"'x'.*bytes, not int"):
                x.value = 5
            with pytest.raises(CodecError, match="3 bytes, not 2"):
                x.value = b"ab"
        section.close()


def test_a_variable_outside_its_section_is_refused() -> None:
    with array()._fd as fd:
        section = Section(Map.from_fd(fd), is_read_only=False)
        with pytest.raises(SpecError, match="'x' is 8 bytes at 12"):
            variable(section, offset=12)


def test_a_value_that_does_not_fit_names_its_variable() -> None:
    with array()._fd as fd:
        section = Section(Map.from_fd(fd), is_read_only=False)
        with pytest.raises(CodecError, match="variable 'x'"):
            variable(section).value = "ten"


def test_mapped_memory_outlives_the_map_and_goes_with_its_last_view() -> None:
    m = array()
    before = open_fds()
    memory = m.mmap()
    assert open_fds() == before
    memory[8:16] = struct.pack("=Q", 77)
    assert m[0] == bytes(8) + struct.pack("=Q", 77)
    part = memory[8:16].cast("Q")
    m.close()
    memory.release()
    assert part[0] == 77
    assert mappings() == 1
    part.release()
    assert mappings() == 0
    with pytest.raises(ClosedError):
        m.mmap()


def test_read_only_memory_cannot_be_written_to() -> None:
    m = array(is_frozen=True, contents={bytes(4): bytes(range(16))})
    with m.mmap(writable=False) as memory:
        assert bytes(memory[:16]) == bytes(range(16))
        with pytest.raises(TypeError):
            memory[0] = 1
    with pytest.raises(MissingPrivilegeError, match=r"map '\.data'"):
        m.mmap()
    m.close()


def test_a_map_that_cannot_be_mapped_says_so() -> None:
    m = array(flags=0)
    with pytest.raises(KernelError, match=r"map '\.data': mmap"):
        m.mmap()
    m.close()
