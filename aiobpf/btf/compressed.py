"""BTF in a compressed file: distributions compress kernel modules, and people whole collections of BTF."""

from __future__ import annotations

from typing import Final

from aiobpf.errors import BtfError

MAX_BYTES: Final = 64 << 20
"""Ten times the types of a distribution's kernel, and more than any module with all its debugging information."""
_XZ: Final = b"\xfd7zXZ\0"
_GZIP: Final = b"\x1f\x8b"


def decompressed(data: bytes) -> bytes:
    """What *data* holds if it is an xz or gzip file, else itself.

    Invariant: any bytes give at most `MAX_BYTES` or what was given, or a BtfError.
    """
    if data.startswith(_XZ):
        return _bounded(data, "xz")
    if data.startswith(_GZIP):
        return _bounded(data, "gzip")
    return data


def _bounded(data: bytes, kind: str) -> bytes:
    import gzip
    import io
    import lzma
    import zlib

    try:
        with (lzma if kind == "xz" else gzip).open(io.BytesIO(data)) as stream:
            plain: bytes = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise BtfError(f"the {kind} file is damaged: {error}") from None
    if len(plain) > MAX_BYTES:
        raise BtfError(f"the {kind} file holds more than {MAX_BYTES >> 20} MiB")
    return plain
