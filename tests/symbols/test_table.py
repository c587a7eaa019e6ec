"""Addresses in tables of functions, and the maps that JITs write."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiobpf.symbols.perf_map import parse_perf_map
from aiobpf.symbols.table import SymbolTable

ROWS = st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 50), st.binary(min_size=1, max_size=5)), max_size=30)


@given(ROWS, st.integers(0, 1100))
def test_what_is_found_reaches_the_address(rows: list[tuple[int, int, bytes]], address: int) -> None:
    found = SymbolTable(rows).at(address)
    if found is None:
        return
    _, offset = found
    begin = address - offset
    sizes = [size for start, size, _ in rows if start == begin]
    assert sizes
    assert offset == 0 or max(sizes) > offset or 0 in sizes


@given(ROWS)
def test_the_beginning_of_each_function_is_found(rows: list[tuple[int, int, bytes]]) -> None:
    table = SymbolTable(rows)
    for start, _, _ in rows:
        found = table.at(start)
        assert found is not None
        assert found[1] == 0


def test_functions_in_functions_and_without_a_size() -> None:
    table = SymbolTable([(10, 100, b"outer"), (20, 10, b"inner"), (200, 0, b"open"), (300, 0, b"last")])
    assert table.at(25) == ("inner", 5)
    assert table.at(40) == ("outer", 30)
    assert table.at(150) is None
    assert table.at(250) == ("open", 50)
    assert table.at(5000) == ("last", 4700)
    assert SymbolTable([(10, 0, b"x")], exact=True).at(10) == ("x", 0)


def test_a_map_of_compiled_code_passes_over_what_is_no_line() -> None:
    table = parse_perf_map(b"10 8 a b\n\xff\xff\nzz 1 c\n20 0 empty\n30 8 old\n30 8 new\n-5 8 d\n")
    assert table.at(0x12) == ("a b", 2)
    assert table.at(0x20) is None
    assert table.at(0x33) == ("new", 3)


@given(st.binary())
def test_any_bytes_are_a_map(data: bytes) -> None:
    parse_perf_map(data).at(16)
