"""netfilter: a program among the hooks of the IP stack, beside those of nftables (6.4)."""

from __future__ import annotations

import errno
from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, kernel_error
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.interface import make_link_in_namespace, netns_name

if TYPE_CHECKING:
    from typing import Self

    from aiobpf.kernel import FdLike
    from aiobpf.kernel.netns import NetNamespace
    from aiobpf.link.link import Link
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_DEFRAG = 1 << 0  # BPF_F_NETFILTER_IP_DEFRAG (6.6)
_DEFRAG_PRIORITY = -400  # NF_IP_PRI_CONNTRACK_DEFRAG: packets are whole only behind it


class NetfilterFamily(Enum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class NetfilterHook(Enum):
    """Where in the IP stack (enum nf_inet_hooks)."""

    PRE_ROUTING = "pre_routing"
    LOCAL_IN = "local_in"
    FORWARD = "forward"
    LOCAL_OUT = "local_out"
    POST_ROUTING = "post_routing"


FAMILIES = {NetfilterFamily.IPV4: 2, NetfilterFamily.IPV6: 10}  # NFPROTO_*
HOOKS = {hook: number for number, hook in enumerate(NetfilterHook)}


@frozen
class Netfilter:
    """A program at *hook* for packets of *family*; both are enums or their words. Section ``netfilter``.

    Hooks of one place run by *priority*, the smallest first (nftables' "filter" chains are at 0); two BPF programs may
    not share one. *defrag* (6.6) puts fragments together before, and needs a priority above -400. The verdict is
    NF_DROP (0) or NF_ACCEPT (1).

    It is for the network namespace of the thread that attaches, or for *netns*, as for `Xdp`.
    """

    family: NetfilterFamily = field(converter=NetfilterFamily)
    hook: NetfilterHook = field(converter=NetfilterHook)
    priority: int = field(default=0, kw_only=True, validator=[validators.gt(-(1 << 31)), validators.lt((1 << 31) - 1)])
    defrag: bool = field(default=False, kw_only=True)
    netns: str | FdLike | None = field(default=None, kw_only=True, converter=netns_name)

    def __attrs_post_init__(self) -> None:
        if self.defrag and self.priority <= _DEFRAG_PRIORITY:
            raise ValueError(f"Netfilter(defrag=True) needs a priority above {_DEFRAG_PRIORITY}, not {self.priority}")

    @classmethod
    def parse(cls, _spec: ProgramSpec) -> Self | None:
        return None  # a section cannot say which hook

    async def attach_program(self, program: Program) -> Link:
        """Raises KernelError EBUSY where a BPF program has that priority, NotSupportedError for *defrag* without the
        kernel's defragmentation."""
        return await make_link_in_namespace(self, self.netns, program, self._attach)

    def _attach(self, program: Program, _namespace: NetNamespace) -> Attachment:
        subject = f"program {program.name!r} on netfilter {self.family.value} {self.hook.value}"
        with building() as attachment:
            try:
                link = kernel.link_netfilter(
                    program,
                    FAMILIES[self.family],
                    HOOKS[self.hook],
                    self.priority,
                    flags=_DEFRAG if self.defrag else 0,
                    subject=subject,
                )
            except KernelError as error:
                raise self._explained(error, subject) from error
            attachment.links.append(link)
            return attachment

    def _explained(self, error: KernelError, subject: str) -> Exception:
        if error.errno == errno.EBUSY:
            hint = f"A BPF program is there at priority {self.priority} already"
            return kernel_error(errno.EBUSY, error.operation, subject, hint)
        if self.defrag and error.errno in {errno.EOPNOTSUPP, errno.EINVAL}:
            return NotSupportedError(f"{subject}: packets put together before it", "6.6")
        if error.errno == errno.EAFNOSUPPORT:
            return NotSupportedError(f"{subject}: this kernel is built without netfilter for {self.family.value}")
        return error
