"""Object files to specs: bytes in, a `CollectionSpec` or an ElfError out; no system call but reading the file given."""

from aiobpf.elf.reader import read_spec

__all__ = ["read_spec"]
