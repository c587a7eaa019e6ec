"""Files of other processes may say anything: answers in bounded time and memory, of what is good in them."""

from __future__ import annotations

import io
import lzma
import shutil
import struct
import subprocess
import time
import tracemalloc
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobpf.symbols.demangle import demangle
from aiobpf.symbols.image_symbols import ImageSymbols
from aiobpf.symbols.perf_map import MAX_LINES, parse_perf_map

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

MAX_S = 20  # on a machine that does other things as well; each takes a second or two
MAX_MEMORY = 256 << 20


def elf(symbols: bytes, strings: bytes, *, tables: int = 1, promised: int | None = None) -> bytes:
    """An ELF library with *tables* headers of one symbol table, which is *promised* bytes long, as it says."""
    names = 64 + len(symbols)
    headers = names + len(strings)

    def header(kind: int, offset: int, size: int, link: int, row: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, offset, size, link, 0, 8, row)

    rows = header(0, 0, 0, 0, 0) + header(3, names, len(strings), 0, 0)
    rows += header(2, 64, len(symbols) if promised is None else promised, 1, 24) * tables
    ident = b"\x7fELF\2\1\1" + bytes(9)
    fields = (3, 62, 1, 0, 0, headers, 0, 64, 56, 0, 64, 2 + tables, 0)
    return ident + struct.pack("<HHIQQQIHHHHHH", *fields) + symbols + strings + rows


def functions(count: int) -> bytes:
    return b"".join(struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0x1000 + 16 * each, 8) for each in range(count))


def image(data: bytes) -> ImageSymbols:
    return ImageSymbols(cast("BinaryIO", io.BytesIO(data)), "/hostile")


@pytest.fixture
def bounded() -> object:
    tracemalloc.start()
    started = time.monotonic()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MAX_MEMORY
    assert time.monotonic() - started < MAX_S


@pytest.mark.usefixtures("bounded")
def test_one_long_name_for_all_symbols() -> None:
    found = image(elf(functions(50_000), b"\0" + b"x" * 4000 + b"\0"))
    assert "overlap" in found.problem


@pytest.mark.usefixtures("bounded")
def test_a_sparse_table_of_half_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(elf(b"", b"\0a\0", promised=480 << 20))
        file.truncate(512 << 20)
    found = ImageSymbols(path.open("rb"), str(path))
    assert "symbol tables of more than" in found.problem
    assert found.at(0) is None


@pytest.mark.usefixtures("bounded")
def test_one_table_named_by_ten_thousand_sections() -> None:
    assert "symbol tables of more than" in image(elf(functions(1000), b"\0a\0", tables=10_000)).problem


def test_a_map_of_compiled_code_with_millions_of_lines() -> None:
    count = MAX_LINES + 100_000
    table = parse_perf_map(b"".join(b"%x 1 f\n" % (each << 4) for each in range(1, count + 1)))
    assert len(table) == MAX_LINES
    assert table.at(count << 4) == ("f", 0)  # the last is there, the first is not
    assert table.at(1 << 4) is None


@pytest.mark.usefixtures("bounded")
def test_a_name_that_says_itself_twice_at_each_level() -> None:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    levels = "".join(f"S0_IS{digits[each]}_S{digits[each]}_E" for each in range(1, 30))
    name = f"_Z1f1ASt4pairIS_S_E{levels}"
    assert demangle(name) == name
    assert demangle(f"_Z1f{'i' * 5000}") == f"_Z1f{'i' * 5000}"


@settings(max_examples=60)
@given(st.data())
def test_any_change_of_a_library_is_survived(data: st.DataObject) -> None:
    changed = bytearray(elf(functions(4), b"\0name\0"))
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    found = image(bytes(changed[: data.draw(st.integers(0, len(changed)))]))
    found.at(0x1000)
    assert isinstance(found.build_id, bytes)
    assert isinstance(found.problem, str)


class Failing(io.BytesIO):
    """A file on a disk that fails after *reads* of them."""

    left = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "Input/output error")
        return super().read(size)

    def readinto(self, buffer: Buffer, /) -> int:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("reads", range(40))
def test_a_disk_that_fails_is_a_problem_of_the_frame(reads: int) -> None:
    file = Failing(elf(functions(4), b"\0name\0"))
    file.left = reads
    found = ImageSymbols(cast("BinaryIO", file), "/failing")
    assert found.at(0x1000) is None
    assert found.problem


def test_a_debug_link_names_the_file_that_was_made_with_it_and_no_other(tmp_path: Path) -> None:
    for name in ("right", "wrong"):
        source = f"int {name}_name(int a) {{ return a + 1; }} int main(int c, char **v) {{ return {name}_name(c); }}"
        options = ["-O0", "-Wl,--build-id=none", "-x", "c", "-", "-o", str(tmp_path / name)]
        subprocess.run(["gcc", *options], input=source, text=True, check=True)
    binary, debug, other = tmp_path / "right", tmp_path / "right.debug", tmp_path / "other.debug"
    subprocess.run(["objcopy", "--only-keep-debug", str(binary), str(debug)], check=True)
    subprocess.run(["objcopy", "--only-keep-debug", str(tmp_path / "wrong"), str(other)], check=True)
    subprocess.run(["strip", str(binary)], check=True)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", str(binary)], check=True)

    def names() -> bytes:
        found = ImageSymbols(binary.open("rb"), str(binary))
        found.load()
        return found._table._names

    assert b"right_name" in names()
    shutil.copy(other, debug)  # of another build
    assert b"_name" not in names()


def test_compressed_symbols_that_want_gigabytes_of_memory_are_passed_over(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    mini = tmp_path / "mini.xz"
    mini.write_bytes(lzma.compress(elf(functions(1), b"\0a\0"), filters=filters))
    binary = tmp_path / "binary"
    shutil.copy("/bin/true", binary)
    subprocess.run(["strip", str(binary)], check=True)
    subprocess.run(["objcopy", f"--add-section=.gnu_debugdata={mini}", str(binary)], check=True)
    found = ImageSymbols(binary.open("rb"), str(binary))
    found.load()
    assert b"a" not in found._table._names
