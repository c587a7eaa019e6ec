"""BTF files that are compressed."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf.btf import Btf, BtfBuilder, Int, Struct
from aiobpf.btf.compressed import MAX_BYTES
from aiobpf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECT = Path(__file__).parent.parent / "objects" / "core.bpf.o"


def plain() -> bytes:
    builder = BtfBuilder()
    builder.add(Int("answer", 4))
    return builder.encode()


@pytest.mark.parametrize("compress", [lzma.compress, gzip.compress])
def test_btf_in_an_xz_or_gzip_file_is_read_as_it_is(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "compressed"
    path.write_bytes(compress(plain()))
    assert Btf.from_file(path).by_name("answer", Int).size == 4
    path.write_bytes(compress(OBJECT.read_bytes()))
    assert Btf.from_file(path).by_name("answer", Struct).name == "answer"


@pytest.mark.parametrize("compress", [lzma.compress, gzip.compress])
def test_a_damaged_file_is_named(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    whole = compress(plain() * 100)
    path = tmp_path / "damaged"
    for damaged in (whole[:20], whole[: len(whole) // 2], whole[:12] + b"\xff" * 40 + whole[52:]):
        path.write_bytes(damaged)
        with pytest.raises(BtfError, match=r"damaged: the (xz|gzip) file is damaged"):
            Btf.from_file(path)


@pytest.mark.parametrize("compress", [lzma.compress, gzip.compress])
def test_a_small_file_of_zeros_without_end_is_refused(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(compress(bytes(MAX_BYTES + (1 << 20))))
    with pytest.raises(BtfError, match="more than 64 MiB"):
        Btf.from_file(path)
