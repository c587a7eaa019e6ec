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
_MAX_SYMBOLS: Final = 4_000_000
_MAX_MINI: Final = 64 << 20


@final
class ImageSymbols:
    """What is known of a file that is mapped. It holds the open file until somebody asks: reading the tables of a large
    one takes a tenth of a second, which a process that is about to end does not leave.

    The static table of the file, else of its debug file (build id, debug link), of what distributions add compressed
    (.gnu_debugdata), and the dynamic one. Invariant: any file gives an object, perhaps without symbols; `problem` says
    why.
    """

    __slots__ = ("_build_id", "_file", "_problem", "_segments", "_table", "path")

    def __init__(self, file: BinaryIO | None, path: str) -> None:
        """It owns *file*; None for one that cannot be opened any more."""
        self.path = path
        self._file = file
        self._problem = "" if file is not None else "the file cannot be opened any more"
        self._build_id = b""
        self._segments: list[tuple[int, int, int]] = []
        """Of each loaded segment: file offset, bytes in the file, address."""
        self._table = SymbolTable([])

    def load(self) -> None:
        """Read everything, and close the file; again, nothing."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            with file:
                image = ElfImage(file, f"binary {self.path!r}")
                self._segments = [(each.offset, each.file_size, each.address) for each in image.segments]
                self._build_id = build_id(image)
                self._table = SymbolTable(_symbols(self.path, image))
        except BpfError as error:
            self._problem = str(error)
        if not self._problem and not len(self._table):
            self._problem = "the file has no symbols, and no debug file is installed"

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    @property
    def build_id(self) -> bytes:
        self.load()
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
    if mini is not None:
        try:
            data = lzma.LZMADecompressor().decompress(image.read(mini), _MAX_MINI)
            yield from _functions(ElfImage(cast("BinaryIO", io.BytesIO(data)), f"{image.what}, .gnu_debugdata"))
        except (lzma.LZMAError, ElfError):
            pass  # what else there is counts
    for debug_path in debug_files(path, image):
        try:
            with open_elf(debug_path, f"debug file {debug_path!r}") as debug_image:
                yield from _functions(debug_image)
                return
        except BpfError:
            continue  # not there, or not what it should be


def _functions(image: ElfImage) -> Iterator[tuple[int, int, bytes]]:
    count = 0
    for table, strings_section in image.symbol_tables():
        strings = image.read(strings_section)
        for symbol in image.symbols(table):
            if symbol.type not in _FUNCTIONS or not symbol.section or not symbol.value:
                continue
            end = strings.find(b"\0", symbol.name_offset, symbol.name_offset + 4096)
            if end > symbol.name_offset:
                yield symbol.value, symbol.size, strings[symbol.name_offset : end]
            count += 1
            if count > _MAX_SYMBOLS:
                return
