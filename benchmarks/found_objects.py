"""Object files that others compiled, as Debian's packages install them."""

from __future__ import annotations

import struct
from pathlib import Path

from benchmarks.peers.build import WORK

TOOLS = Path("/usr/sbin")
OWN = Path(__file__).parent.parent / "aiobpf" / "programs"


def embedded_object(data: bytes) -> bytes | None:
    """The first ELF file for BPF (machine 247) inside an executable: libbpf-tools carry theirs so."""
    at = data.find(b"\x7fELF", 1)
    while at >= 0:
        if data[at + 18 : at + 20] == b"\xf7\0":
            (sections,) = struct.unpack_from("<Q", data, at + 40)
            (count,) = struct.unpack_from("<H", data, at + 60)
            return data[at : at + sections + 64 * count]
        at = data.find(b"\x7fELF", at + 1)
    return None


def find_objects() -> dict[str, Path]:
    """Every object there is, by name, in files of their own: xdp-tools, libbpf-tools, and this project's monitor."""
    directory = WORK / "objects"
    directory.mkdir(parents=True, exist_ok=True)
    found = {path.name.removesuffix(".bpf.o"): path for path in sorted(OWN.glob("*.bpf.o"))}
    found = {name: path for name, path in found.items() if not name.endswith(".eb")}  # of the other byte order
    found |= {path.stem: path for path in sorted(Path("/usr/lib").glob("*/bpf/*.o"))}
    for tool in sorted(TOOLS.iterdir()):
        if not tool.is_file() or tool.is_symlink() or tool.stat().st_size > 4 << 20:
            continue
        carried = embedded_object(tool.read_bytes())
        if carried is not None:
            path = directory / f"{tool.name}.o"
            path.write_bytes(carried)
            found[tool.name] = path
    return found


def choose(objects: dict[str, Path], count: int) -> dict[str, Path]:
    """*count* of them, spread evenly over their sizes."""
    by_size = sorted(objects, key=lambda name: (objects[name].stat().st_size, name))
    if len(by_size) <= count:
        return {name: objects[name] for name in by_size}
    step = (len(by_size) - 1) / max(count - 1, 1)
    return {by_size[round(i * step)]: objects[by_size[round(i * step)]] for i in range(count)}
