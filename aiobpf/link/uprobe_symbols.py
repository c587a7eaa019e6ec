"""From a function's name to the file offset where a uprobe goes.

The rules are libbpf's (elf.c, elf_find_func_offset), and four that it lacks: a plain name means the default version
of a versioned symbol rather than an ambiguity; a stripped binary's symbols are looked up in its debug file; an IFUNC
(glibc's memcpy) is found, as the implementation that this machine chose; and a C++ or Rust function may be named as its
source has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.errors import BpfError, ElfError, NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.link.ifunc import chosen_implementation
from aiobpf.link.near import near_hint
from aiobpf.link.uprobe_names import STT_GNU_IFUNC, function_by_source_name, is_function, is_source_name
from aiobpf.symbols.debug_files import debug_files
from aiobpf.symbols.elf_image import open_elf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.symbols.elf_image import ElfImage, Section

_STB_WEAK: Final = 2
_VERSION_HIDDEN: Final = 0x8000
_MAX_VERSIONS: Final = 0x8000


@frozen
class FoundSymbol:
    """A function in a symbol table: its *address* in the file's own numbering, and what kind of symbol it is."""

    address: int
    is_weak: bool
    is_ifunc: bool
    is_default_version: bool


def function_offset(path: str, name: str, offset: int = 0) -> int:
    """The file offset of the function *name* plus *offset* in the binary at *path*; reads the file.

    *name* may carry a version: ``memcpy@GLIBC_2.14``, or ``memcpy@@GLIBC_2.14`` to insist that it is the default.
    Raises UnresolvedSymbolError (with near matches), SpecError where several functions have the name,
    NotSupportedError for an IFUNC whose implementation cannot be told, ElfError, KernelError.
    """
    what = f"binary {path!r}"
    with open_elf(path, what) as image:
        found = _one(list(_matches(image, name)), name, image)
        if found is None:
            found = _in_debug_file(path, image, name)
        if found is None and is_source_name(name):
            return function_by_source_name(image, name) + offset
        if found is None:
            raise UnresolvedSymbolError(_not_found(path, image, name), name)
        if found.is_ifunc:
            # dlsym gives the default version's.
            implementation = chosen_implementation(path, name) if found.is_default_version else None
            if implementation is None:
                raise NotSupportedError(
                    f"{what} chooses the implementation of {name!r} at run time (IFUNC), and it is not loaded in this "
                    "process to see which",
                    hint=_implementations_hint(image, name),
                )
            return implementation + offset
        place = image.file_offset(found.address)
        if place is None:
            raise ElfError(f"{what} has {name!r} at address {found.address:#x}, which no segment of the file holds")
        return place + offset


def absolute_offset(path: str, offset: int) -> int:
    """*offset* of the ELF file at *path* as one of the file to probe, which differs for a member of an archive.

    Raises SpecError where it lies outside: the kernel would only say EINVAL.
    """
    with open_elf(path, f"binary {path!r}") as image:
        if offset >= image.size:
            raise SpecError(f"binary {path!r} has {image.size} bytes: nothing is at offset {offset:#x}")
        return image.base + offset


def _matches(image: ElfImage, name: str) -> Iterator[FoundSymbol]:
    plain, _, version = name.partition("@")
    for table, strings_section in image.symbol_tables():
        strings = image.read(strings_section)
        if table.type == "SHT_DYNSYM":
            wanted_version = version
            offsets = _name_offsets(strings, plain)
        else:
            # A static table has no version table: linkers put the version into the name, or leave it out.
            wanted_version = ""
            offsets = _name_offsets(strings, name)
            if "@" not in name:
                offsets |= _default_version_offsets(strings, name)
        if not offsets:
            continue
        versions = _Versions(image, table) if table.type == "SHT_DYNSYM" else None
        any_found = False
        for symbol in image.symbols(table):
            if symbol.name_offset not in offsets or not is_function(symbol):
                continue
            version_name, is_hidden = versions.of(symbol.index) if versions is not None else ("", False)
            if wanted_version and not _is_version(wanted_version, version_name, is_hidden):
                continue
            any_found = True
            yield FoundSymbol(symbol.value, symbol.binding == _STB_WEAK, symbol.type == STT_GNU_IFUNC, not is_hidden)
        if any_found:
            return  # as libbpf: the static table is looked into only where the dynamic one has nothing


def _is_version(wanted: str, version: str, is_hidden: bool) -> bool:
    if wanted.startswith("@"):
        return wanted[1:] == version and not is_hidden
    return wanted == version


def _name_offsets(strings: bytes, name: str) -> set[int]:
    """Every offset of the string table that reads *name*; linkers let one name be the tail of a longer one."""
    needle = name.encode("utf-8", "surrogateescape") + b"\0"
    found = set()
    at = strings.find(needle)
    while at >= 0:
        found.add(at)
        at = strings.find(needle, at + 1)
    return found


def _default_version_offsets(strings: bytes, name: str) -> set[int]:
    needle = b"\0" + name.encode("utf-8", "surrogateescape") + b"@@"
    found = set()
    at = strings.find(needle)
    while at >= 0:
        found.add(at + 1)
        at = strings.find(needle, at + 1)
    return found


def _one(found: list[FoundSymbol], name: str, image: ElfImage) -> FoundSymbol | None:
    """The function among *found*: default versions before hidden ones, strong before weak, all at one address."""
    if not found:
        return None
    found = [symbol for symbol in found if symbol.is_default_version] or found
    found = [symbol for symbol in found if not symbol.is_weak] or found
    addresses = sorted({symbol.address for symbol in found})
    if len(addresses) > 1:
        places = ", ".join(f"{address:#x}" for address in addresses[:5])
        more = f" and {len(addresses) - 5} more" if len(addresses) > 5 else ""
        raise SpecError(
            f"{image.what} has {len(addresses)} functions named {name!r}, at {places}{more}: give the offset of one"
        )
    return found[0]


class _Versions:
    """The version of each dynamic symbol (.gnu.version, .gnu.version_d)."""

    def __init__(self, image: ElfImage, table: Section) -> None:
        self._image = image
        self._names: dict[int, str] = {}
        numbers = next((section for section in image.sections if section.type == "SHT_GNU_versym"), None)
        self._numbers = b"" if numbers is None else image.read(numbers)
        definitions = next((section for section in image.sections if section.type == "SHT_GNU_verdef"), None)
        if definitions is None or definitions.link >= len(image.sections):
            return
        data = image.read(definitions)
        strings = image.read(image.sections[definitions.link])
        at = 0
        for _ in range(min(definitions.info, _MAX_VERSIONS)):  # sh_info counts them; vd_next might go in circles
            _version, _flags, index, _count, _hash, aux, next_ = image.unpack("HHHHIII", data, at)
            (name, _) = image.unpack("II", data, at + aux)
            end = strings.find(b"\0", name)
            self._names[index & ~_VERSION_HIDDEN] = strings[name : max(end, name)].decode("utf-8", "backslashreplace")
            if next_ == 0:
                break
            at += next_

    def of(self, index: int) -> tuple[str, bool]:
        """The version's name ("" for none) and whether it is hidden: not what a plain name links to."""
        if 2 * index + 2 > len(self._numbers):
            return "", False
        (number,) = self._image.unpack("H", self._numbers, 2 * index)
        return self._names.get(number & ~_VERSION_HIDDEN, ""), bool(number & _VERSION_HIDDEN)


def _in_debug_file(path: str, image: ElfImage, name: str) -> FoundSymbol | None:
    for debug_path in debug_files(path, image):
        try:
            with open_elf(debug_path, f"debug file {debug_path!r}") as debug_image:
                found = _one(list(_matches(debug_image, name)), name, image)
        except SpecError:
            raise
        except BpfError:
            continue  # not there, or not what it should be: the binary itself is what the error must name
        if found is not None:
            return found
    return None


def _function_names(image: ElfImage) -> set[str]:
    names = set()
    for table, strings_section in image.symbol_tables():
        strings = image.read(strings_section)
        for symbol in image.symbols(table):
            if is_function(symbol):
                end = strings.find(b"\0", symbol.name_offset, symbol.name_offset + 256)
                if end > symbol.name_offset:
                    names.add(strings[symbol.name_offset : end].decode("utf-8", "backslashreplace"))
    return names


def _not_found(path: str, image: ElfImage, name: str) -> str:
    names = _function_names(image)
    message = f"binary {path!r} has no function {name!r}"
    if not names:
        return f"{message}: it is stripped of its symbols; give a file offset, or install its debug symbols"
    return message + near_hint(name.partition("@")[0], names)


def _implementations_hint(image: ElfImage, name: str) -> str:
    plain = name.partition("@")[0]
    near = sorted(other for other in _function_names(image) if plain in other and other != plain)[:6]
    return f"Implementations: {', '.join(near)}" if near else "Give the file offset of an implementation"
