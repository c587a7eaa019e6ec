"""Closing a link whose pin was removed a moment ago."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

from aiobpf import kernel
from aiobpf.errors import KernelError

if TYPE_CHECKING:
    from aiobpf.link.attachment import Attachment

_PATIENCE_S = 3.0
_POLL_S = 0.002


@final
class ClosesAfterUnpin:
    """Closes *attachment*, and waits for the pin's own hold on the link to end.

    An unlinked pin's inode may be freed by an RCU callback (seen on 5.10, not on 6.12): the pin then outlasts our
    descriptor by some milliseconds, and a kernel work queue lets go of the hook. If the link's id is gone once the
    descriptor is closed, ours was the last hold and the hook is free. Where another process has the link open we
    must not wait for ever.
    """

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment

    def close(self) -> None:
        """Blocks until the link is gone, or 3 s."""
        try:
            numbers = [kernel.link_info(link).id for link in self._attachment.links]
        finally:
            self._attachment.close()
        deadline = time.monotonic() + _PATIENCE_S
        has_waited = False
        while any(_exists(number) for number in numbers) and time.monotonic() < deadline:
            has_waited = True
            time.sleep(_POLL_S)
        if has_waited:
            time.sleep(_POLL_S)  # the id goes first, the hook right after it, in one go (bpf_link_free)


def _exists(number: int) -> bool:
    try:
        kernel.link_by_id(number).close()
    except KernelError:
        return False
    return True
