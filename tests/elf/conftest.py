"""Objects to read: this project's own, and those that Debian's packages bring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.foreign_objects import embedded_objects, foreign_objects

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
    """The first ELF file for BPF inside the file at *path*."""
    return next(embedded_objects(path.read_bytes()))


def installed_objects() -> list[Path]:
    """Where each object of libbpf-tools and xdp-tools would be."""
    tools = [Path("/usr/sbin") / name for name in TOOLS]
    return tools + sorted(Path("/usr/lib").glob("*/bpf/*.o"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, objects in (
        ("newer", [each for each in foreign_objects() if each.name.startswith("trixie/")]),
        ("installed", [each for each in foreign_objects() if not each.name.startswith("trixie/")]),
    ):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, objects, ids=lambda each: each.name)


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
