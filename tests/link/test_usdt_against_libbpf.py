"""libbpf's own words about where arguments are, and our programs run by libbpf: both of its layouts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiobpf
from aiobpf.link import Usdt
from tests.libbpf.oracles import ORACLES, Libbpf, NoLibbpfError
from tests.link.usdt_target import PLAIN, SIMPLE, make_program, needs_x86, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.link.usdt_target import Running

# A guest would compile libbpf, for ten minutes.
pytestmark = [pytest.mark.root, pytest.mark.slow, needs_x86, pytest.mark.requires("cookies")]

OBJECTS = Path(__file__).parent.parent / "objects"

ORACLE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static void dump(const char *what, int fd, unsigned int key, size_t size)
{
    unsigned char *value = calloc(1, size);
    if (bpf_map_lookup_elem(fd, &key, value))
        exit(4);
    printf("%s ", what);
    for (size_t i = 0; i < size; i++)
        printf("%02x", value[i]);
    printf("\n");
    free(value);
}

int main(int argc, char **argv) /* object pid binary provider name cookie */
{
    LIBBPF_OPTS(bpf_usdt_opts, opts, .usdt_cookie = strtoull(argv[6], NULL, 0));
    struct bpf_object *object = bpf_object__open_file(argv[1], NULL);
    if (!object || bpf_object__load(object))
        return 1;
    struct bpf_program *program = bpf_object__find_program_by_name(object, "take_all");
    struct bpf_link *link = bpf_program__attach_usdt(program, atoi(argv[2]), argv[3], argv[4], argv[5], &opts);
    if (!link)
        return 2;
    struct bpf_map *specs = bpf_object__find_map_by_name(object, "__bpf_usdt_specs");
    for (unsigned int key = 0; key < 2; key++)
        dump("spec", bpf_map__fd(specs), key, bpf_map__value_size(specs));
    printf("ready\n");
    fflush(stdout);
    getchar();
    struct bpf_map *map;
    bpf_object__for_each_map(map, object)
        if (bpf_map__is_internal(map) && strstr(bpf_map__name(map), ".bss"))
            dump("bss", bpf_map__fd(map), 0, bpf_map__value_size(map));
    bpf_link__destroy(link);
    bpf_object__close(object);
    return 0;
}
"""


@pytest.fixture(scope="module", params=sorted(ORACLES))
def libbpf(request: pytest.FixtureRequest) -> Libbpf:
    try:
        return ORACLES[request.param]()
    except NoLibbpfError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def oracle(libbpf: Libbpf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("oracle")
    (directory / "oracle.c").write_text(f"#include <string.h>\n{ORACLE}")
    libbpf.compile(directory / "oracle.c", directory / "oracle")
    return directory / "oracle"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_program(tmp_path_factory.mktemp("target"), "target", "-no-pie", "-fno-pie")


@pytest.fixture
def child(program: Path) -> Iterator[Running]:
    with running(str(program)) as child:
        yield child


def told_by_libbpf(
    oracle: Path, object_: Path, child: Running, binary: str, provider: str, name: str, command: str
) -> tuple[list[bytes], bytes]:
    """What libbpf wrote to the first two elements of the map, and .bss after *command* was given to the child."""
    arguments = [str(oracle), str(object_), str(child.pid), binary, provider, name, "0x1234567890"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        specs = []
        for line in iter(process.stdout.readline, "ready\n"):
            assert line, f"libbpf gave up: {process.wait()}"
            specs.append(bytes.fromhex(line.removeprefix("spec ")))
        child.say(command)
        process.stdin.close()
        bss = bytes.fromhex(process.stdout.readline().removeprefix("bss "))
    return specs, bss


async def told_by_us(object_: Path, child: Running, binary: str, provider: str, name: str) -> list[bytes]:
    async with aiobpf.load(object_) as coll:
        kind = Usdt(binary, provider, name, pid=child.pid, cookie=0x1234567890)
        async with coll.programs["take_all"].attach(kind):
            specs = coll.maps["__bpf_usdt_specs"]
            elements = [specs.lookup_bytes(index) for index in range(2)]
    return [element[:-4] + bytes(4) for element in elements if element is not None]  # without our mark


def objects_for(libbpf: Libbpf) -> list[str]:
    return ["usdt"] if libbpf.is_newest else ["usdt_libbpf", "usdt_without_sib"]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["simple", "twice", "none", "indexed"])
async def test_what_is_written_about_a_place_is_what_libbpf_writes(
    libbpf: Libbpf, oracle: Path, program: Path, child: Running, name: str
) -> None:
    if name == "indexed" and not libbpf.is_newest:
        return  # it knows no such places: see test_usdt.py
    for each in objects_for(libbpf):
        object_ = OBJECTS / f"{each}.bpf.o"
        theirs, _ = told_by_libbpf(oracle, object_, child, str(program), "own", name, ".")
        assert await told_by_us(object_, child, str(program), "own", name) == theirs


@pytest.mark.asyncio
async def test_the_probes_of_pythons_and_libraries_are_as_libbpf_has_them(libbpf: Libbpf, oracle: Path) -> None:
    python = "/usr/bin/python3"
    with running(python, "-c", "import os\nwhile os.read(0, 1): os.write(1, b'.')") as child:
        for name in ("gc__start", "function__entry", "import__find__load__done", "audit", "line"):
            object_ = OBJECTS / f"{objects_for(libbpf)[0]}.bpf.o"
            theirs, _ = told_by_libbpf(oracle, object_, child, python, "python", name, ".")
            assert await told_by_us(object_, child, python, "python", name) == theirs


def test_programs_by_our_header_run_under_libbpf(libbpf: Libbpf, oracle: Path, program: Path, child: Running) -> None:
    for each in objects_for(libbpf):
        object_ = OBJECTS / f"{each}.bpf.o"
        _, bss = told_by_libbpf(oracle, object_, child, str(program), "own", "simple", "s")
        spec = aiobpf.read_spec(object_)

        def number(
            name: str, index: int = 0, size: int = 8, bss: bytes = bss, spec: aiobpf.CollectionSpec = spec
        ) -> int:
            start = spec.variables[name].offset + index * size
            return int.from_bytes(bss[start : start + size], "little", signed=True)

        assert number("hits") == 1
        assert number("cookie") == 0x1234567890
        assert number("count", size=4) == len(SIMPLE)
        assert [number("values", index) for index in range(len(SIMPLE))] == SIMPLE
        assert PLAIN[: len(SIMPLE)] == SIMPLE
