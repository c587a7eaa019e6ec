"""USDT: probes that a program's authors put into it (user statically defined tracing), with their arguments."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import Feature, features, perf_events
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.library_path import resolve_binary
from aiobpf.link.link import Link, make_link
from aiobpf.link.path_text import path_text
from aiobpf.link.perf_link import hang_on_event
from aiobpf.link.probe_mode import ProbeMode
from aiobpf.link.usdt_sites import arguments_of, sites_of
from aiobpf.link.usdt_slots import UsdtSlots, maps_of
from aiobpf.link.usdt_spec import SPECS_MAP, SpecLayout
from aiobpf.symbols.archive import split_archive
from aiobpf.symbols.elf_image import open_elf
from aiobpf.symbols.mappings import file_mappings

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.link.usdt_sites import UsdtSite
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_NOT_SO = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


@frozen
class Usdt:
    """The USDT probe *provider*:*name* of *binary*, at all its places. Section ``usdt/BINARY:PROVIDER:NAME``, and
    ``usdt.s/`` for a program that may sleep.

    *binary* and *pid* are as `Uprobe` has them: ``Usdt("libc", "libc", "setjmp", pid=1234)``. A program that was
    compiled with <bpf/usdt.bpf.h>, aiobpf's or libbpf's, reads the probe's arguments (bpf_usdt_arg) and *cookie*
    (bpf_usdt_cookie); to any other *cookie* is what bpf_get_attach_cookie gives. A semaphore, by which a program knows
    that somebody watches, is raised while the link is there.

    Since 4.20. Before 5.15 a program that reads arguments is told by the address where it is, so that a library or a
    position-independent program takes *pid*, and what that process maps later is not seen. The Link has one kernel link
    since 6.10, else one for each place.
    """

    binary: str = field(converter=path_text, validator=validators.min_len(1))
    provider: str = field(validator=validators.min_len(1))
    name: str = field(validator=validators.min_len(1))
    pid: int | None = field(default=None, kw_only=True, validator=validators.optional(validators.ge(0)))
    cookie: int = field(default=0, kw_only=True)

    @classmethod
    def parse(cls, spec: ProgramSpec) -> Self | None:
        if not spec.attach_to:
            return None
        binary, *names = spec.attach_to.rsplit(":", 2)
        if len(names) != 2 or not all((binary, *names)):
            raise SpecError(f"section {spec.section!r} is not usdt/BINARY:PROVIDER:NAME")
        return cls(binary, *names)

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError (ENOENT, ESRCH) where there is no such binary or process, ElfError where it is no ELF
        file, UnresolvedSymbolError (with near matches) for a probe that it does not have, SpecError or
        NotSupportedError for arguments that no program can read, NotSupportedError for what the kernel lacks."""
        return await make_link(self, program, self._attach)

    def _attach(self, program: Program) -> Attachment:
        subject = f"program {program.name!r} on USDT probe {self.binary}:{self.provider}:{self.name}"
        path = resolve_binary(self.binary, self.pid)
        pid = None if self.pid is None else self.pid or os.getpid()
        has_cookies = features.supports_bpf_cookie()
        with building() as attachment:
            maps, owns_maps = maps_of(program)
            slots = UsdtSlots(maps, subject, owns_maps=owns_maps) if SPECS_MAP in maps else None
            if slots is not None:
                attachment.undos.append(slots)
            with open_elf(path, f"binary {path!r}") as image:
                sites = sites_of(image, self.provider, self.name)
                specs = []
                if slots is not None:
                    layout = SpecLayout.of(maps[SPECS_MAP])
                    specs = [layout.encode(arguments_of(image, site), self.cookie, image.machine) for site in sites]
                is_fixed = image.is_executable
            path, _ = split_archive(path)
            cookies = [self.cookie] * len(sites)
            if slots is not None:
                cookies = slots.take(specs)
                if not has_cookies:
                    slots.map_addresses(self._addresses(path, sites, cookies, pid, subject, is_fixed=is_fixed))
                    cookies = [0] * len(sites)
            try:
                if not _hang_on_all(attachment, program, path, sites, cookies, pid, subject):
                    for site, cookie in zip(sites, cookies, strict=True):
                        _hang_on_one(attachment, program, path, site, cookie, pid, subject)
            except KernelError as error:
                if error.errno == errno.ESRCH:
                    raise kernel_error(errno.ESRCH, error.operation, subject, f"There is no process {pid}") from error
                raise
            if slots is not None:
                slots.remember(attachment.links)
            return attachment

    def _addresses(
        self, path: str, sites: list[UsdtSite], indexes: list[int], pid: int | None, subject: str, *, is_fixed: bool
    ) -> dict[int, int]:
        """Where the program is called, and which of *indexes* is for that place."""
        if is_fixed:
            return {site.address: index for site, index in zip(sites, indexes, strict=True)}
        if pid is None:
            raise NotSupportedError(
                f"{subject}: the arguments of a library, or of a program that is position-independent, in every "
                "process",
                "5.15",
                hint="With pid= it is possible here",
            )
        inode = os.stat(path).st_ino
        found = {}
        for mapping in file_mappings(pid):
            if mapping.inode != inode or not mapping.is_executable:
                continue
            for site, index in zip(sites, indexes, strict=True):
                if mapping.offset <= site.offset < mapping.offset + mapping.end - mapping.start:
                    found[mapping.start + site.offset - mapping.offset] = index
        if not found:
            raise kernel_error(errno.ESRCH, "attach", subject, f"Process {pid} has not mapped {path!r}")
        return found


def _hang_on_all(
    attachment: Attachment,
    program: Program,
    path: str,
    sites: list[UsdtSite],
    cookies: list[int],
    pid: int | None,
    subject: str,
) -> bool:
    """One link for all places; whether the kernel, and what the program was loaded for, allow it."""
    if features.kernel_features().probe(Feature.UPROBE_MULTI_PROCESS) != kernel.Supported():
        return False
    semaphores = [site.semaphore for site in sites]
    try:
        link = kernel.link_uprobe_multi(
            program,
            os.fsencode(path),
            [site.offset for site in sites],
            semaphores=semaphores if any(semaphores) else [],
            cookies=cookies,
            pid=pid or 0,
            subject=subject,
        )
    except KernelError as error:
        if error.errno in _NOT_SO:
            return False
        raise
    attachment.links.append(link)
    return True


def _hang_on_one(
    attachment: Attachment, program: Program, path: str, site: UsdtSite, cookie: int, pid: int | None, subject: str
) -> None:
    event = perf_events.open_uprobe(
        os.fsencode(path),
        site.offset,
        pid=-1 if pid is None else pid,
        semaphore=site.semaphore,
        subject=subject,
    )
    attachment.events.append(event)
    hang_on_event(attachment, program, event, cookie=cookie, mode=ProbeMode.AUTO, subject=subject)
