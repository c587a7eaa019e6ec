"""Helpers that replaced others; apart from the enum of all, which no load needs."""

from typing import Final

OLDER_HELPERS: Final = {113: 4, 115: 45, 112: 4, 114: 45}
"""probe_read_kernel, probe_read_kernel_str, probe_read_user, probe_read_user_str (5.5): to probe_read and
probe_read_str, which do the same where the addresses of user space and the kernel do not overlap."""
