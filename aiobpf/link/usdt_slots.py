"""The maps by which a program with <bpf/usdt.bpf.h> finds its arguments: elements taken for a link, and given back."""

from __future__ import annotations

import errno
import struct
import threading
from typing import TYPE_CHECKING, Final, final

from aiobpf import kernel
from aiobpf.errors import ClosedError, KernelError, MapKeyExistsError, NotSupportedError
from aiobpf.link.usdt_spec import IP_MAP, SPECS_MAP, is_free
from aiobpf.runtime.map import Map
from aiobpf.uapi import UpdateFlags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.kernel.fd import OwnedFd
    from aiobpf.runtime.program import Program

# Two attachments at once, each in its worker thread, must not take the same element. The map itself says which are
# taken, as it may belong to several collections (replace_maps, pins).
_taking: Final = threading.Lock()


@final
class UsdtSlots:
    """What one attachment has in a program's USDT maps; `close` gives it back. See `aiobpf.link.attachment.Undo`.

    A link that outlives its attachment (pinned, or held by another process) still reads its arguments by them: then
    they stay. They go with the maps at the latest, which are as long-lived as the program.
    """

    def __init__(self, maps: Mapping[str, Map], subject: str, *, owns_maps: bool) -> None:
        """With *owns_maps* the maps are closed with it."""
        self._specs = maps[SPECS_MAP]
        self._ips = maps.get(IP_MAP)
        self._subject = subject
        self._owned = list(maps.values()) if owns_maps else []
        self._taken: list[int] = []
        self._addresses: list[bytes] = []
        self._links: list[int] = []

    def take(self, specs: Sequence[bytes]) -> list[int]:
        """Write *specs* to free elements; the index of each. Equal ones share an element.

        Raises NotSupportedError where the map is full.
        """
        elements = self._specs.elements
        indexes: dict[bytes, int] = {}
        with _taking:
            free = (index for index in range(self._specs.max_entries) if is_free(elements.lookup(_key(index)) or b"\1"))
            for spec in specs:
                if spec in indexes:
                    continue
                index = next(free, None)
                if index is None:
                    raise NotSupportedError(
                        f"{self._subject}: map {self._specs.name!r} has no room for "
                        f"{len(set(specs))} more kinds of places",
                        hint="Compile the program with a larger BPF_USDT_MAX_SPEC_CNT, or set the map's max_entries",
                    )
                elements.update(_key(index), spec)
                self._taken.append(index)
                indexes[spec] = index
        return [indexes[spec] for spec in specs]

    def map_addresses(self, addresses: Mapping[int, int]) -> None:
        """Say for each address at which the program is called which element is its: before cookies (5.15)."""
        if self._ips is None:
            raise NotSupportedError(f"{self._subject}: a program without map {IP_MAP}", "5.15")
        for address, index in addresses.items():
            key = struct.pack("=Q", address)
            try:
                self._ips.elements.update(key, struct.pack("=I", index), UpdateFlags.NOEXIST)
            except MapKeyExistsError as error:
                raise NotSupportedError(
                    f"{self._subject}: two attachments of one collection at the address {address:#x}", "5.15"
                ) from error
            self._addresses.append(key)

    def remember(self, links: Sequence[OwnedFd]) -> None:
        """The links that read by what was taken."""
        self._links = [kernel.link_info(link).id for link in links]

    def close(self) -> None:
        """Give the elements back, unless a link is still there."""
        try:
            if not any(_may_exist(link) for link in self._links):
                self._give_back()
        finally:
            self.leak()

    def _give_back(self) -> None:
        try:
            while self._addresses and self._ips is not None:
                self._ips.elements.delete(self._addresses.pop())
            while self._taken:
                self._specs.elements.update(_key(self._taken.pop()), bytes(self._specs.value_size))
        except ClosedError:  # the collection went first: its maps are gone, or somebody else's
            self._taken.clear()

    def leak(self) -> None:
        """Leave them."""
        while self._owned:
            self._owned.pop().close()


def maps_of(program: Program) -> tuple[dict[str, Map], bool]:
    """The USDT maps of *program* by their names, none if it reads no arguments; and whether they are the caller's to
    close, as those of a program that was not loaded here are (found by their ids, which takes CAP_SYS_ADMIN)."""
    names = (SPECS_MAP, IP_MAP)
    if program.spec is not None:
        return {name: program.uses[name] for name in names if name in program.uses}, False
    found: dict[str, Map] = {}
    try:
        for number in kernel.program_info(program).map_ids:
            map_ = Map.from_id(number)
            name = next((name for name in names if name[: len(map_.name)] == map_.name and map_.name), None)
            if name is None or name in found:
                map_.close()
            else:
                found[name] = map_
    except BaseException:
        for map_ in found.values():
            map_.close()
        raise
    if SPECS_MAP not in found:
        for map_ in found.values():
            map_.close()
        return {}, False
    return found, True


def _key(index: int) -> bytes:
    return struct.pack("=I", index)


def _may_exist(link: int) -> bool:
    try:
        kernel.link_by_id(link).close()
    except KernelError as error:
        return error.errno not in {errno.ENOENT, errno.EAGAIN}  # EPERM: who may not look leaves what it took
    return True
