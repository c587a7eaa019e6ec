"""The kernel's BTF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.btf import Btf, Struct
from benchmarks.stopwatch import Stopwatch, resident_kib

if TYPE_CHECKING:
    from benchmarks.commands import Arguments


async def find(arguments: Arguments) -> dict[str, object]:
    """Open a BTF file and find a struct with its members."""
    path, name = arguments.text("path"), arguments.text("name")
    before = resident_kib()
    took = Stopwatch()
    btf = Btf.from_file(path)
    found = btf.by_name(name, Struct)
    assert found.members
    took.stop()
    after = resident_kib()
    return took.answer(1, btf.id_of(found), rss_kib=after[0] - before[0], anonymous_kib=after[1] - before[1])
