"""Libraries that lie uncompressed in a zip archive (an Android package), where they are mapped from and probed.

Such a place is written ``ARCHIVE!/MEMBER``, as Android's linker and libbpf have it: ``base.apk!/lib/x86_64/libapp.so``.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from typing import TYPE_CHECKING, BinaryIO, final

from aiobpf.errors import ElfError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SEPARATOR = "!/"
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., the lengths of name and extra field (APPNOTE.TXT 4.3.7)
_ENCRYPTED = 1


def split_archive(path: str) -> tuple[str, str | None]:
    """The file to open, and the member in it: ("base.apk", "lib/libapp.so"), or (*path*, None) for a plain file."""
    archive, separator, member = path.partition(_SEPARATOR)
    if not separator or not archive or not member or os.path.exists(path):
        return path, None
    return archive, member


@final
class Member(io.RawIOBase):
    """The bytes *start* to *start* + *size* of *file*, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.start = start
        self._file = file
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        wanted = min(len(view), max(0, self._size - self._at))
        self._file.seek(self.start + self._at)
        data = self._file.read(wanted)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def open_member(file: BinaryIO, member: str, what: str) -> Member:
    """*member* of the zip archive *file*, which stays open under it. *what* names it in errors.

    Raises ElfError for what is no archive, has no such member, or has it compressed or encrypted: nothing can be mapped
    from there, so there is nothing to probe.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if member not in names:
                libraries = sorted(name for name in names if name.endswith(".so"))[:6]
                hint = f"; its libraries: {', '.join(libraries)}" if libraries else ""
                raise ElfError(f"{what}: the archive has no such member{hint}")
            entry = archive.getinfo(member)
        file.seek(entry.header_offset)
        signature, name_size, extra_size = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        size = file.seek(0, os.SEEK_END)
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
        raise ElfError(f"{what} cannot be read as a zip archive: {error}") from error
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
        raise ElfError(f"{what} is compressed or encrypted there: only a member that is stored is mapped, and probed")
    start = entry.header_offset + _LOCAL_HEADER.size + name_size + extra_size
    if signature != b"PK\x03\x04" or start + entry.file_size > size:
        raise ElfError(f"{what} cannot be read as a zip archive: its member lies elsewhere than it says")
    return Member(file, start, entry.file_size)
