"""struct_ops maps in the kernel's service: by a link since 6.4, before that for as long as the element stands."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, final

from attrs import frozen

from aiobpf import kernel
from aiobpf.errors import KernelError, SpecError
from aiobpf.link.attachment import Attachment, building
from aiobpf.link.link import Link, make_map_link
from aiobpf.runtime.struct_ops import update_struct_ops
from aiobpf.uapi import AttachType, MapType

if TYPE_CHECKING:
    from aiobpf.runtime.map import Map

_KEY = bytes(4)


@frozen
class StructOps:
    """Registration of a struct_ops map: the kernel calls the programs in it from here on.

    A map of section ``.struct_ops.link`` gets a bpf link (6.4), which can be updated with another such map, and pinned.
    One of ``.struct_ops`` (5.6) is registered by writing its element: it stays when the process ends, until the element
    is deleted, which closing the Link does. Such a map is registered once.
    """

    async def attach_map(self, map_: Map) -> Link:
        """Raises SpecError for what is no struct_ops map; KernelError: EEXIST (the name is taken), EBUSY, EINVAL."""
        if map_.type != MapType.STRUCT_OPS:
            raise SpecError(f"map {map_.name!r} is a {map_.type.name} map, not one of struct_ops")
        return await make_map_link(self, map_, _register)


def _register(map_: Map) -> Attachment:
    subject = f"struct_ops map {map_.name!r}"
    registration = map_.registration
    with building() as attachment:
        if registration is None or registration.is_linked:
            attachment.links.append(kernel.link_create(map_, None, AttachType.STRUCT_OPS, subject=subject))
        else:
            update_struct_ops(map_)
            attachment.undos.append(_Registered(map_.duplicate()))
        return attachment


@final
class _Registered:
    """A registration without a link; it has a descriptor of its own, so that the map may be closed before it."""

    def __init__(self, map_: Map) -> None:
        self._map = map_

    def close(self) -> None:
        try:
            self._map.elements.delete(_KEY)
        except KernelError as error:
            if error.errno != errno.EINPROGRESS:  # somebody else took it out (bpftool struct_ops unregister)
                raise
        finally:
            self._map.close()

    def leak(self) -> None:
        self._map.close()
