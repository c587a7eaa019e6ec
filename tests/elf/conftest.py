"""Objects to read: this project's own, and those that Debian's packages bring."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = Path(__file__).parent.parent / "objects"
TOOLS = """
    bashreadline bindsnoop biolatency biopattern biosnoop biostacks biotop bitesize cachestat capable cpudist cpufreq
    drsnoop execsnoop exitsnoop filelife filetop fsdist fsslower funclatency gethostlatency hardirqs javagc klockstat
    ksnoop llcstat mdflush mountsnoop numamove offcputime oomkill opensnoop readahead runqlat runqlen runqslower
    sigsnoop slabratetop softirqs solisten statsnoop syscount tcpconnect tcpconnlat tcplife tcprtt tcpstates tcpsynbl
    tcptop tcptracer vfsstat wakeuptime
""".split()  # noqa: SIM905 - fifty names are a table
"""Executables of Debian's libbpf-tools, each with a BPF object inside."""


def embedded_object(path: Path) -> bytes:
    """The first ELF file for BPF (machine 247) inside the file at *path*."""
    data = path.read_bytes()
    at = data.find(b"\x7fELF", 1)
    while at >= 0:
        if data[at + 18 : at + 20] == b"\xf7\0":
            offset, count = struct.unpack_from("<Q", data, at + 40)[0], struct.unpack_from("<H", data, at + 60)[0]
            return data[at : at + offset + 64 * count]
        at = data.find(b"\x7fELF", at + 1)
    raise LookupError(f"no BPF object in {path}")


def installed_objects() -> list[Path]:
    """Where each object of libbpf-tools and xdp-tools would be."""
    tools = [Path("/usr/sbin") / name for name in TOOLS]
    return tools + sorted(Path("/usr/lib").glob("*/bpf/*.o"))


@pytest.fixture(params=installed_objects(), ids=lambda path: path.stem)
def installed_object(request: pytest.FixtureRequest) -> bytes:
    """An object that no one here wrote."""
    path: Path = request.param
    if not path.exists():
        pytest.skip(f"{path} is not installed (Debian: libbpf-tools, xdp-tools)")
    return path.read_bytes() if path.suffix == ".o" else embedded_object(path)


@pytest.fixture
def embedded() -> Callable[[str], bytes]:
    """The object inside a tool of libbpf-tools, by the tool's name."""

    def extract(name: str) -> bytes:
        path = Path("/usr/sbin") / name
        if not path.exists():
            pytest.skip(f"{path} is not installed (Debian: libbpf-tools)")
        return embedded_object(path)

    return extract


@pytest.fixture(params=sorted(OBJECTS.glob("*.bpf.o")), ids=lambda path: path.name.removesuffix(".bpf.o"))
def own_object(request: pytest.FixtureRequest) -> Path:
    """Each committed test object, of both byte orders."""
    path: Path = request.param
    return path


@pytest.fixture
def objects() -> Path:
    """The directory of the committed test objects."""
    return OBJECTS
