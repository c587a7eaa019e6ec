"""The functions of one executable or library, by file offset, and from where they come when it is stripped."""

from __future__ import annotations

import io
import lzma
from typing import TYPE_CHECKING, BinaryIO, Final, cast, final

from aiobpf.errors import BpfError, ElfError
from aiobpf.symbols.debug_files import build_id, debug_files
from aiobpf.symbols.elf_image import ElfImage, open_elf
from aiobpf.symbols.table import SymbolTable

if TYPE_CHECKING:
    from collections.abc import Iterator

_FUNCTIONS: Final = frozenset({2, 10})  # STT_FUNC, STT_GNU_IFUNC
# What a browser or a JVM comes to, several times over; a sparse file may promise any number of rows, a table may be
# named by 65,000 sections, and all symbols may have one long name.
_MAX_ROWS: Final = 1_000_000
_MAX_TABLES: Final = 256 << 20
_NAMES_PER_BYTE: Final = 8
_LEAST_NAMES: Final = 1 << 20
_MAX_MINI: Final = 64 << 20
_MINI_MEMORY: Final = 128 << 20


@final
class ImageSymbols:
    """What is known of a file that is mapped. It holds the open file until somebody asks: reading the tables of a large
    one takes a tenth of a second, which a process that is about to end does not leave.

    The static table of the file, else of its debug file (build id, debug link), of what distributions add compressed
    (.gnu_debugdata), and the dynamic one. Invariant: any file gives an object, perhaps without symbols or with some
    only; `problem` says why. Work and memory are bounded, whatever the file says.
    """

    __slots__ = ("_build_id", "_file", "_has_code", "_image", "_problem", "_segments", "_table", "path")

    def __init__(self, file: BinaryIO | None, path: str, problem: str = "the file cannot be opened any more") -> None:
        """It owns *file*; None for one that cannot be had, with the *problem* that it is."""
        self.path = path
        self._file = file
        self._image: ElfImage | None = None
        self._problem = "" if file is not None else problem
        self._build_id = b""
        self._has_code = False
        self._segments: list[tuple[int, int, int]] = []
        """Of each loaded segment: file offset, bytes in the file, address."""
        self._table = SymbolTable([])

    def close(self) -> None:
        """Let the file go, read or not; idempotent."""
        file, self._file, self._image = self._file, None, None
        if file is not None:
            file.close()

    def _open(self) -> ElfImage | None:
        """The headers, and the build id; the file stays open for its tables."""
        if self._image is not None or self._file is None:
            return self._image
        try:
            self._image = image = ElfImage(self._file, f"binary {self.path!r}")
            self._segments = [(each.offset, each.file_size, each.address) for each in image.segments]
            self._has_code = any(each.is_executable and each.file_size for each in image.segments)
            self._build_id = build_id(image)
        except (BpfError, OSError, MemoryError) as error:
            if self._image is None:  # a build id that is broken is no reason to have no symbols
                self._problem = str(error)
                self.close()
        return self._image

    def load(self) -> None:
        """Read everything, and close the file; again, nothing."""
        image = self._open()
        if image is None:
            return
        rows: list[tuple[int, int, bytes]] = []
        try:
            rows.extend(_symbols(self.path, image))
        except (BpfError, OSError, MemoryError) as error:  # what was read until then counts
            self._problem = str(error)
        self.close()
        self._table = SymbolTable(rows)
        if not self._problem and not len(self._table):
            self._problem = "the file has no symbols, and no debug file is installed"
        if not self._problem and not self._has_code:
            self._problem = "the debug file does not say where its binary has the functions, and that was not seen"

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()

    @property
    def build_id(self) -> bytes:
        """As the file has it; its tables need not be read for that."""
        self._open()
        return self._build_id

    @property
    def problem(self) -> str:
        """Why there are no symbols, or only some; "" where nothing is wrong."""
        self.load()
        return self._problem

    def at(self, file_offset: int) -> tuple[str, int] | None:
        """The function at *file_offset* and how far into it that is."""
        self.load()
        for start, size, address in self._segments:
            if start <= file_offset < start + size:
                return self._table.at(file_offset - start + address)
        return None


def _symbols(path: str, image: ElfImage) -> Iterator[tuple[int, int, bytes]]:
    yield from _functions(image)
    if any(section.type == "SHT_SYMTAB" for section in image.sections):
        return
    mini = image.section(".gnu_debugdata")
    if mini is not None and mini.size <= _MAX_MINI:
        try:
            unpack = lzma.LZMADecompressor(memlimit=_MINI_MEMORY)
            data = unpack.decompress(image.read(mini), _MAX_MINI)
            yield from _functions(ElfImage(cast("BinaryIO", io.BytesIO(data)), f"{image.what}, .gnu_debugdata"))
        except (lzma.LZMAError, ElfError):
            pass  # what else there is counts
    for debug_path in debug_files(path, image):
        try:
            with open_elf(debug_path, f"debug file {debug_path!r}") as debug_image:
                yield from _functions(debug_image)
                return
        except (BpfError, OSError):
            continue  # not there, or not what it should be


def _functions(image: ElfImage) -> Iterator[tuple[int, int, bytes]]:
    tables = list(image.symbol_tables())
    rows = sum(table.size for table, _ in tables) // (24 if image.is_64 else 16)
    size = sum(table.size + strings.size for table, strings in tables)
    if rows > _MAX_ROWS or size > _MAX_TABLES:
        raise ElfError(f"{image.what} has symbol tables of more than {_MAX_ROWS} rows or {_MAX_TABLES >> 20} MiB")
    for table, strings_section in tables:
        strings = image.read(strings_section)
        names_left = max(_NAMES_PER_BYTE * len(strings), _LEAST_NAMES)
        for symbol in image.symbols(table):
            if symbol.type not in _FUNCTIONS or not symbol.section or not symbol.value:
                continue
            end = strings.find(b"\0", symbol.name_offset, symbol.name_offset + 4096)
            if end > symbol.name_offset:
                names_left -= end - symbol.name_offset
                if names_left < 0:
                    raise ElfError(f"{image.what} has symbols whose names overlap again and again")
                yield symbol.value, symbol.size, strings[symbol.name_offset : end]
