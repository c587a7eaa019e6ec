"""Which implementation of an IFUNC this machine uses.

The symbol of an IFUNC (glibc's memcpy, strlen, time ...) is the address of a resolver, which runs once in each process
and picks an implementation for the CPU. A probe there would fire once, at start-up. The pick depends on the CPU alone,
so where this very file is loaded in this process already (libc always is), the linker here knows the answer.
"""

from __future__ import annotations

import os


def chosen_implementation(path: str, name: str) -> int | None:
    """The file offset of the implementation of *name* in the library at *path*, None where it cannot be told.

    It asks only for what is loaded already: to load a library here would run its code.
    """
    import ctypes

    from aiobpf.symbols.mappings import file_mappings

    try:
        inode = os.stat(path).st_ino
    except OSError:
        return None
    for mapping in file_mappings(None):
        if mapping.inode != inode or not os.path.samefile(mapping.path, path):
            continue
        try:
            library = ctypes.CDLL(mapping.path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
            address = ctypes.cast(library[name.partition("@")[0]], ctypes.c_void_p).value
        except (OSError, AttributeError):
            return None
        return None if address is None else _offset_in_file(address, inode)
    return None


def _offset_in_file(address: int, inode: int) -> int | None:
    from aiobpf.symbols.mappings import file_mappings

    for mapping in file_mappings(None):
        if mapping.start <= address < mapping.end:
            return address - mapping.start + mapping.offset if mapping.inode == inode else None
    return None
