"""An executable or library as a uprobe sees it: segments, symbol tables, and the file offset of an address.

pyelftools reads the headers; the tables are decoded in bulk, since making one object a symbol takes a second where a
binary has 50,000 of them.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import struct
from typing import TYPE_CHECKING, BinaryIO, cast, final

from attrs import frozen

from aiobpf.errors import ElfError, kernel_error
from aiobpf.symbols.archive import open_member, split_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_HEADERS = 0xFFFF  # both counts are 16 bits; this one means "look elsewhere", which only core files do
_PF_X = 1
_MAX_TABLE = 1 << 29  # a sparse file may be as long as it likes: no symbol table of sense is longer than this


@frozen
class Section:
    """One section header; its bytes are `ElfImage.read`."""

    name: str
    type: str
    offset: int
    size: int
    link: int
    info: int
    address: int = 0


@frozen
class Segment:
    """One PT_LOAD: the file's bytes from *offset* are at *address*."""

    address: int
    offset: int
    file_size: int
    is_executable: bool = True


@frozen
class Symbol:
    """One row of a symbol table; *index* is its place there (the version table goes by it)."""

    index: int
    name_offset: int
    type: int
    binding: int
    section: int
    value: int
    size: int


@final
class ElfImage:
    """The headers of an ELF executable or library, over its open file.

    The file is read, not mapped: one that is cut short while we look gives an ElfError, not SIGBUS.
    Invariant: any file gives an object or an ElfError; never another exception, never memory by a declared size that
    the file does not have.
    """

    def __init__(self, file: BinaryIO, what: str, *, base: int = 0) -> None:
        """*what* is how errors name the file ("binary '/bin/bash'"); *file* must stay open while this is used.

        *base* is where the image begins in the file that the kernel maps: not 0 for a member of an archive.
        """
        self.what = what
        self.base = base
        self.machine = ""
        self.is_executable = False
        """Whether it is mapped at the addresses that it says itself (ET_EXEC), not anywhere (ET_DYN)."""
        self.sections: list[Section] = []
        self.segments: list[Segment] = []
        self._file = file
        self._endian = "<"
        self._is_64 = True
        try:
            self.size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if file.read(4) != b"\x7fELF":
                raise ElfError(f"{what} is not an ELF file")
            self._read_headers()
        except ElfError:
            raise
        except OSError as error:  # a file of /proc that cannot be sought
            raise ElfError(f"{what} cannot be read as an ELF file: {error}") from error
        except Exception as error:  # pyelftools lets struct, construct, assertion, key and decode errors through
            raise ElfError(f"{what} has a broken ELF header: {error}") from error

    def _read_headers(self) -> None:
        # Of pyelftools only what reads one row: its walks over sections and segments follow counts and lengths that a
        # hostile file may set to 2**64.
        from elftools.common.utils import struct_parse
        from elftools.elf.elffile import ELFFile

        elf = ELFFile(self._file)
        header, structs = elf.header, elf.structs
        if header["e_type"] not in {"ET_EXEC", "ET_DYN"}:
            raise ElfError(f"{self.what} is neither an executable nor a library ({header['e_type']})")
        self.machine = str(header["e_machine"])
        self.is_executable = header["e_type"] == "ET_EXEC"
        self._endian = "<" if elf.little_endian else ">"
        self._is_64 = elf.elfclass == 64
        for offset in self._rows(
            header["e_phoff"], header["e_phnum"], header["e_phentsize"], structs.Elf_Phdr.sizeof()
        ):
            segment = struct_parse(structs.Elf_Phdr, self._file, offset)
            if segment["p_type"] == "PT_LOAD":
                self.segments.append(
                    Segment(
                        segment["p_vaddr"],
                        segment["p_offset"],
                        segment["p_filesz"],
                        is_executable=bool(segment["p_flags"] & _PF_X),
                    )
                )
        rows = [
            struct_parse(structs.Elf_Shdr, self._file, offset)
            for offset in self._rows(
                header["e_shoff"], header["e_shnum"], header["e_shentsize"], structs.Elf_Shdr.sizeof()
            )
        ]
        names = b""
        if header["e_shstrndx"] < len(rows):
            row = rows[header["e_shstrndx"]]
            names = self._read(row["sh_offset"], row["sh_size"])
        for row in rows:
            # NOBITS has an offset and a size, but no bytes: a debug file keeps the headers of what it left out.
            size = 0 if row["sh_type"] == "SHT_NOBITS" else row["sh_size"]
            name = _string(names, row["sh_name"])
            self.sections.append(
                Section(
                    name, str(row["sh_type"]), row["sh_offset"], size, row["sh_link"], row["sh_info"], row["sh_addr"]
                )
            )

    def _rows(self, offset: int, count: int, stride: int, size: int) -> range:
        if count == 0 or count >= _MAX_HEADERS:
            return range(0)
        if stride < size or offset + count * stride > self.size:
            raise ElfError(f"{self.what} has {count} headers of {stride} bytes at {offset}, outside the file")
        return range(offset, offset + count * stride, stride)

    def _read(self, offset: int, size: int) -> bytes:
        if size == 0:
            return b""
        if offset + size > self.size or size > _MAX_TABLE:
            raise ElfError(f"{self.what} has {size} bytes at {offset}, outside the file or absurd")
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise ElfError(f"{self.what} was cut short while it was read")
        return data

    def read(self, section: Section) -> bytes:
        """The section's bytes. Raises ElfError where they lie outside the file."""
        return self._read(section.offset, section.size)

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def symbol_tables(self) -> Iterator[tuple[Section, Section]]:
        """Each symbol table with its string table; the dynamic one first, as its names carry versions."""
        for kind in ("SHT_DYNSYM", "SHT_SYMTAB"):
            for section in self.sections:
                if section.type == kind and section.link < len(self.sections):
                    yield section, self.sections[section.link]

    def symbols(self, table: Section) -> Iterator[Symbol]:
        """The rows of a symbol table."""
        data = self.read(table)
        size = 24 if self._is_64 else 16
        rows = memoryview(data)[: len(data) // size * size]
        if self._is_64:
            for index, (name, info, _other, section, value, length) in enumerate(
                struct.iter_unpack(f"{self._endian}IBBHQQ", rows)
            ):
                yield Symbol(index, name, info & 15, info >> 4, section, value, length)
        else:
            for index, (name, value, length, info, _other, section) in enumerate(
                struct.iter_unpack(f"{self._endian}IIIBBH", rows)
            ):
                yield Symbol(index, name, info & 15, info >> 4, section, value, length)

    def unpack(self, code: str, data: bytes, offset: int) -> tuple[int, ...]:
        """Numbers of the file's byte order at *offset* of *data*. Raises ElfError where it ends before them."""
        try:
            return struct.unpack_from(self._endian + code, data, offset)
        except struct.error as error:
            raise ElfError(f"{self.what} ends within a table: {error}") from None

    @property
    def is_64(self) -> bool:
        """Whether it is for a 64-bit machine."""
        return self._is_64

    @property
    def is_little_endian(self) -> bool:
        return self._endian == "<"

    def segment_at(self, address: int) -> Segment | None:
        """The segment that holds the byte at *address*."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_size:
                return segment
        return None

    def file_offset(self, address: int) -> int | None:
        """Where in the file that the kernel maps the byte at *address* lies, None where no segment holds it.

        Through the segments, which are what the kernel maps: it holds for a file without a section table too.
        """
        if self.machine == "EM_ARM":
            address &= ~1  # bit 0 of a function's address says that it is Thumb code
        segment = self.segment_at(address)
        return None if segment is None else self.base + address - segment.address + segment.offset


def _string(table: bytes, offset: int) -> str:
    return table[offset : offset + 256].partition(b"\0")[0].decode("utf-8", "backslashreplace")


@contextlib.contextmanager
def open_elf(path: str, what: str) -> Iterator[ElfImage]:
    """The ELF file at *path*, open while the context lasts; "ARCHIVE!/MEMBER" is one that a zip archive holds.

    Raises KernelError (ENOENT, EACCES ...) where it cannot be opened, ElfError where it is no executable or library.
    """
    file_path, member = split_archive(path)
    try:
        # O_NONBLOCK: opening a FIFO would wait for its writer.
        fd = os.open(file_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise kernel_error(getattr(error, "errno", None) or errno.EINVAL, "open", what) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):  # io.open refuses a directory, and leaves its descriptor open
        os.close(fd)
        raise ElfError(f"{what} is not an ELF file: it is no regular file")
    with open(fd, "rb") as file:
        if member is None:
            yield ElfImage(file, what)
        else:
            window = open_member(file, member, what)
            yield ElfImage(cast("BinaryIO", io.BufferedReader(window)), what, base=window.start)
