"""The USDT probes of a binary: where each one lies in the file, and where its arguments and its semaphore are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import ElfError, NotSupportedError, UnresolvedSymbolError
from aiobpf.link.near import near_hint
from aiobpf.link.usdt_arguments import Memory, SymbolMemory, UsdtArgument, parse_arguments
from aiobpf.link.usdt_notes import BASE_SECTION, SECTION, UsdtNote, parse_notes
from aiobpf.link.usdt_registers import INSTRUCTION_POINTER
from aiobpf.symbols.elf_image import open_elf

if TYPE_CHECKING:
    from aiobpf.symbols.elf_image import ElfImage


@frozen
class UsdtSite:
    """One place of a probe. *offset* and *semaphore* (0: none) are in the file that the kernel maps."""

    provider: str
    name: str
    arguments: str
    offset: int
    address: int
    """In the binary's own numbering: where an executable that is not position-independent has it."""
    semaphore: int


def usdt_probes(path: str) -> list[UsdtSite]:
    """Every place of every probe of the binary at *path*; reads the file. An empty list for one without probes.

    Raises KernelError where it cannot be opened, ElfError where it is no ELF file or its notes are broken.
    """
    with open_elf(path, f"binary {path!r}") as image:
        return all_sites(image)


def all_sites(image: ElfImage) -> list[UsdtSite]:
    """The same of an open image."""
    section = image.section(SECTION)
    if section is None:
        return []
    notes = parse_notes(
        image.read(section),
        is_64=image.is_64,
        is_little_endian=image.is_little_endian,
        what=f"{image.what}, section {SECTION}",
    )
    base = image.section(BASE_SECTION)
    return [_site(image, note, None if base is None else base.address) for note in notes]


def sites_of(image: ElfImage, provider: str, name: str) -> list[UsdtSite]:
    """The places of the probe *provider*:*name*. UnresolvedSymbolError (with near matches) where there is none."""
    sites = all_sites(image)
    found = [site for site in sites if (site.provider, site.name) == (provider, name)]
    if not found:
        if not sites:
            raise UnresolvedSymbolError(f"{image.what} has no USDT probes", f"{provider}:{name}")
        known = {f"{site.provider}:{site.name}" for site in sites}
        hint = near_hint(f"{provider}:{name}", known) or f"; it has {', '.join(sorted(known)[:8])}"
        raise UnresolvedSymbolError(f"{image.what} has no USDT probe {provider}:{name}{hint}", f"{provider}:{name}")
    return found


def _site(image: ElfImage, note: UsdtNote, base: int | None) -> UsdtSite:
    # Prelink moves a library, but not the addresses in its notes: by as much as it moved .stapsdt.base.
    moved = 0 if base is None or note.base == 0 else base - note.base
    address = note.address + moved
    segment = image.segment_at(address)
    offset = image.file_offset(address)
    if segment is None or offset is None or not segment.is_executable:
        raise ElfError(f"{image.what} has USDT probe {note.provider}:{note.name} at {address:#x}, where it has no code")
    semaphore = 0
    if note.semaphore:
        place = image.file_offset(note.semaphore + moved)
        if place is None:
            raise ElfError(
                f"{image.what} has the semaphore of USDT probe {note.provider}:{note.name} at "
                f"{note.semaphore + moved:#x}, which no segment of the file holds"
            )
        semaphore = place
    return UsdtSite(note.provider, note.name, note.arguments, offset, address, semaphore)


def arguments_of(image: ElfImage, site: UsdtSite) -> tuple[UsdtArgument, ...]:
    """The arguments at *site*, with symbols as what a program can reach: memory relative to the instruction pointer.

    Raises as `parse_arguments`, and UnresolvedSymbolError for a symbol that the binary does not have (any more).
    """
    if not image.is_64:
        raise NotSupportedError(f"{image.what}: USDT arguments of 32-bit programs")
    return tuple(_without_symbol(image, site, each) for each in parse_arguments(site.arguments, image.machine))


def _without_symbol(image: ElfImage, site: UsdtSite, argument: UsdtArgument) -> UsdtArgument:
    place = argument.place
    if not isinstance(place, SymbolMemory):
        return argument
    addresses = _addresses(image, place.symbol)
    if len(addresses) != 1:
        what = f"{len(addresses)} symbols" if addresses else "no symbol"
        raise UnresolvedSymbolError(
            f"{image.what}: an argument of USDT probe {site.provider}:{site.name} is at {place.symbol!r}, and the "
            f"binary has {what} of that name" + ("" if addresses else " (it may be stripped)"),
            place.symbol,
        )
    # The distance between the probe and the symbol is the same wherever the binary is mapped.
    distance = addresses.pop() + place.offset - site.address
    memory = Memory(INSTRUCTION_POINTER[image.machine], distance)
    return UsdtArgument(argument.size, argument.is_signed, memory)


def _addresses(image: ElfImage, name: str) -> set[int]:
    needle = name.encode("utf-8", "surrogateescape") + b"\0"
    found = set()
    for table, strings_section in image.symbol_tables():
        strings = image.read(strings_section)
        offsets = set()
        at = strings.find(needle)
        while at >= 0:
            offsets.add(at)
            at = strings.find(needle, at + 1)
        found |= {symbol.value for symbol in image.symbols(table) if symbol.name_offset in offsets and symbol.section}
    return found
