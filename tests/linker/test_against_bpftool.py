"""The same objects through libbpf's linker (`bpftool gen object`): the same comes out, and the same is refused."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import attrs
import pytest

import aiobpf
from aiobpf.asm import REFERENCE, SYMBOL, Reference
from aiobpf.btf import CORE_RELOCATION, FUNCTION_INFO, LINE, Btf, DataSection, Kind
from aiobpf.errors import ElfError, SpecError
from aiobpf.spec import EXTERN
from tests.elf.conftest import embedded_object, installed_objects
from tests.elf.test_against_libbpf import compare_code
from tests.elf.test_against_libbpf import kernel as kernel  # noqa: PLC0414 - a fixture
from tests.elf.test_against_libbpf import oracle as oracle  # noqa: PLC0414 - a fixture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiobpf.asm import Instructions
    from aiobpf.spec import CollectionSpec, MapSpec
    from tests.elf.test_against_libbpf import Oracle


INSTALLED = installed_objects()


def test_the_result_is_that_of_libbpfs_linker(
    together: list[Path], bpftool: Callable[[list[Path]], Path | None]
) -> None:
    compare_all(together, bpftool)


def test_each_instruction_is_what_libbpf_would_load(
    together: list[Path],
    bpftool: Callable[[list[Path]], Path | None],
    oracle: Oracle,
    kernel: Btf,
) -> None:
    linked = bpftool(together)
    assert linked is not None
    mine, theirs = aiobpf.link_objects(together), oracle.ask(linked)
    # libbpf puts the object's name before those of most data sections.
    names = {each["name"]: each["name"].removeprefix("linked") for each in theirs["maps"]}
    assert set(names.values()) == mine.maps.keys()
    assert [each["name"] for each in theirs["programs"]] == list(mine.programs)
    for each in theirs["programs"]:
        fds = {int(fd): names[name] for fd, name in each["loaded"]["maps"].items()}
        compare_code(mine.programs[each["name"]], bytes.fromhex(each["loaded"]["code"]), fds, kernel)


def test_maps_that_hold_others_are_those_of_libbpf(
    together: list[Path], tables: Path, bpftool: Callable[[list[Path]], Path | None]
) -> None:
    compare_all([tables, *together], bpftool)


def test_the_order_of_objects_decides_as_with_libbpf(
    together: list[Path], bpftool: Callable[[list[Path]], Path | None]
) -> None:
    compare_all(together[::-1], bpftool)


@pytest.mark.parametrize(
    "pair", list(zip(INSTALLED[::2], INSTALLED[1::2], strict=False)), ids=lambda pair: pair[0].stem
)
def test_objects_of_others_are_linked_as_libbpf_links_them(
    pair: tuple[Path, Path], tmp_path: Path, bpftool: Callable[[list[Path]], Path | None]
) -> None:
    paths = []
    for path in pair:
        if not path.exists():
            pytest.skip(f"{path} is not installed (Debian: libbpf-tools, xdp-tools)")
        paths.append(tmp_path / f"{path.stem}.o")
        paths[-1].write_bytes(path.read_bytes() if path.suffix == ".o" else embedded_object(path))
    linked = bpftool(paths)
    if linked is None:  # two maps or variables of one name, mostly
        with pytest.raises(SpecError):
            aiobpf.link_objects(paths)
    else:
        compare(aiobpf.link_objects(paths), aiobpf.read_spec(linked))


def compare_all(paths: list[Path], bpftool: Callable[[list[Path]], Path | None]) -> None:
    linked = bpftool(paths)
    assert linked is not None
    compare(aiobpf.link_objects(paths), aiobpf.read_spec(linked))


def compare(mine: CollectionSpec, theirs: CollectionSpec) -> None:
    assert list(mine.programs) == list(theirs.programs)
    assert list(mine.maps) == list(theirs.maps)
    for name, spec in mine.maps.items():
        assert map_outline(spec) == map_outline(theirs.maps[name])
    assert {name: (each.section, each.offset, each.size, str(each.type)) for name, each in mine.variables.items()} == {
        name: (each.section, each.offset, each.size, str(each.type)) for name, each in theirs.variables.items()
    }
    assert mine.exports == theirs.exports
    assert {name: attrs.evolve(each, type=None) for name, each in mine.externs.items()} == {
        name: attrs.evolve(each, type=None) for name, each in theirs.externs.items()
    }
    assert mine.license == theirs.license
    for name, program in mine.programs.items():
        other = theirs.programs[name]
        assert attrs.evolve(program, instructions=other.instructions, types=other.types) == other
        assert outline(program.instructions) == outline(other.instructions)
    assert sorted(map(plain, mine.functions)) == sorted(map(plain, theirs.functions))
    assert mine.types is not None
    assert theirs.types is not None
    ours, others = declarations(mine.types), declarations(theirs.types)
    assert not ours - others
    # libbpf (1.1) keeps the prototypes of declarations that are gone; and forward declarations beside definitions, with
    # what refers to them.
    assert {kind for kind, *_ in others - ours} <= {Kind.FUNC_PROTO, Kind.FWD, Kind.PTR, Kind.TYPEDEF}


def plain(name: str) -> str:
    """A function's name without what tells it from others of that name, which is not the same in a file."""
    return name.partition(".")[0]


def map_outline(spec: MapSpec) -> object:
    value = spec.value
    variables = [
        (each.variable.name, each.offset, each.size, str(each.variable.type))
        for each in (value.variables if isinstance(value, DataSection) else ())
    ]
    return attrs.evolve(spec, key=None, value=None, inner=None), str(spec.key), str(value), variables


def outline(instructions: Instructions) -> object:
    return (
        instructions.encode(),
        [(i, plain(name)) for i, name in instructions.with_key(SYMBOL)],
        [(i, Reference(plain(each.name) or each.name, each.variable)) for i, each in instructions.with_key(REFERENCE)],
        [(i, each.name, each.linkage, str(each.type)) for i, each in instructions.with_key(FUNCTION_INFO)],
        [(i, each.kind, each.access, str(each.type)) for i, each in instructions.with_key(CORE_RELOCATION)],
        list(instructions.with_key(LINE)),
        [(i, attrs.evolve(each, type=None)) for i, each in instructions.with_key(EXTERN)],
    )


def declarations(types: Btf) -> Counter[tuple[Kind, str, int, str]]:
    """What each type says, however they are numbered; data sections are compared with their maps.

    Without the names of parameters: libbpf writes those of a definition into the declaration that it completes, and a
    pointer to functions of that kind, which shares its prototype, gets them too.
    """
    return Counter(
        (each.kind, each.name, getattr(each, "size", 0), re.sub(r"(?<=[ *])\w+(?=[,)])", "", str(each)))
        for each in types.types
        if not isinstance(each, DataSection)
    )


USER = 'SEC("socket") int a(struct __sk_buff *skb) { return %s; }\n'
ARRAY = "__uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64);"
MAP = f'struct {{ {ARRAY} }} m SEC(".maps")'
HASH = MAP.replace("ARRAY", "HASH").replace("entries, 1", "entries, 2")
OF_STRUCTS = MAP.replace("__u64", "struct v")
LOOKUP = USER % "!bpf_map_lookup_elem(&m, &(int){0})"
GOES = {
    "the same type": ("extern int x;" + USER % "x", "int x = 1;"),
    "a typedef": ("typedef int mine; extern mine x;" + USER % "x", "int x = 1;"),
    "a qualifier": ("extern volatile int x;" + USER % "x", "int x = 1;"),
    "another sign": ("extern unsigned x;" + USER % "x", "int x = 1;"),
    "a section of its own": ("extern int x;" + USER % "x", 'int x SEC(".data.b") = 1;'),
    "an array without a length": ("extern int x[];" + USER % "x[1]", "int x[4] = {1};"),
    "a struct": ("struct s { int a; }; extern struct s x;" + USER % "x.a", "struct s { int a; }; struct s x = {1};"),
    "a struct that is only declared": (
        "struct p; struct s { struct p *p; }; extern struct s x;" + USER % "x.p != 0",
        "struct p { int q; }; struct s { struct p *p; }; struct s x; struct p y;",
    ),
    "more constants of an enum": ("enum e { A, B }; extern enum e x;" + USER % "x", "enum e { A }; enum e x = A;"),
    "a function": ("extern int f(int);" + USER % "f(1)", "__noinline int f(int y) { return y; }\nint x = 1;"),
    "two weak variables": ("int x __weak = 1;" + USER % "x", "int x __weak = 2;"),
    "two weak functions": (
        "__weak __noinline int f(int y) { return 1; }" + USER % "f(1)",
        "__weak int f(int y) { return 2; }",
    ),
    "a weak program before a strong one": (
        'SEC("socket") __weak int a(void *c) { return 1; }',
        'SEC("socket") int a(void *c) { return 2; } SEC("socket") int b(void *c) { return 3; }',
    ),
    "a static variable beside a weak one that loses": (
        "static volatile int s = 4; int x __weak = 1;" + USER % "x + s",
        "static volatile int s = 5; int x = 2; " + (USER % "x + s").replace("int a", "int b"),
    ),
    "a place inside of a variable": (
        "struct s { int a[8]; }; extern struct s x; int *p(int i) { return &x.a[i & 7]; }" + USER % "x.a[6]",
        "int before[3] = {1}; struct s { int a[8]; }; struct s x = {{1}};",
    ),
    "a program in a section of several objects": (
        'SEC("xdp") int a(void *c) { return 1; } SEC("socket") int c(void *c) { return 2; }',
        'SEC("xdp") int b(void *c) { return 3; } SEC("tc") int d(void *c) { return 4; }',
    ),
    "a function that a map of programs refers to": (
        "extern int b(void *); struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); "
        '__uint(key_size, 4); __array(values, int(void *)); } m SEC(".maps") = { .values = { [0] = &b } };'
        + USER
        % "1",
        'SEC("socket") int b(void *c) { return 3; }',
    ),
    "a callback that is hidden elsewhere": (
        "extern long f(__u32, void *) __hidden;" + USER % "bpf_loop(3, f, 0, 0)",
        "long g; long f(__u32 i, void *c) __hidden; long f(__u32 i, void *c) { g += i; return 0; }",
    ),
    "a map": (f"extern {MAP};" + LOOKUP, f"{MAP};"),
    "two weak maps": (f"{MAP} __weak;" + LOOKUP, f"{MAP} __weak;"),
    "a function instead of a kernel function": (
        "extern int f(int) __ksym;" + USER % "f(1)",
        "__noinline int f(int y) { return y; }",
    ),
    "hidden where it is declared": (
        "extern int f(int) __hidden;" + USER % "f(1)",
        "__noinline int f(int y) { return y; }",
    ),
}
REFUSED = {
    "another size": ("extern long x;" + USER % "x", "int x = 1;", r"int of 4 bytes and long of 8"),
    "another section": (
        'extern int x SEC(".data.a");' + USER % "x",
        'int x SEC(".data.b") = 1;',
        r"'x' is declared in section \.data\.a by .*a\.o, and defined in section \.data\.b by .*b\.o",
    ),
    "another struct": (
        "struct t { int a; }; extern struct t x;" + USER % "x.a",
        "struct s { int a; }; struct s x = {1};",
        "struct s and struct t",
    ),
    "another member": (
        "struct s { int c; }; extern struct s x;" + USER % "x.c",
        "struct s { int b; }; struct s x = {1};",
        "has member 'b' where the other one has 'c'",
    ),
    "another pointer": ("extern long *x;" + USER % "x != 0", "int *x;", "int of 4 bytes and long of 8"),
    "another result": (
        "extern long f(int);" + USER % "f(1)",
        "__noinline int f(int y) { return y; }",
        "what it returns: int of 4 bytes and long of 8",
    ),
    "another parameter": (
        "extern int f(long);" + USER % "f(1)",
        "__noinline int f(int y) { return y; }",
        "parameter 1: int of 4 bytes and long of 8",
    ),
    "more parameters": (
        "extern int f(int, int);" + USER % "f(1, 2)",
        "__noinline int f(int y) { return y; }",
        "1 parameters and 2",
    ),
    "a variable for a function": (
        "extern int f(int);" + USER % "f(1)",
        "int f = 1;",
        "'f' is a variable in .*b.o and a function in .*a.o",
    ),
    "a function for a variable": (
        "extern int f;" + USER % "f",
        "__noinline int f(int y) { return y; }",
        "'f' is a function in .*b.o and a variable in .*a.o",
    ),
    "two strong variables": (
        "int x = 1;" + USER % "x",
        "int x = 2;",
        "variable 'x' is defined by both .*a.o and .*b.o",
    ),
    "two strong functions": (
        "int f(int y) { return 1; }" + USER % "f(1)",
        "int f(int y) { return 2; }",
        "function 'f' is defined by both .*a.o and .*b.o",
    ),
    "a weak one of another type": ("int x __weak = 1;" + USER % "x", "long x = 2;", "is defined otherwise in"),
    "two programs of a name": (USER % "1", USER % "2", "function 'a' is defined by both .*a.o and .*b.o"),
    "a map with other numbers": (
        f"extern {HASH};" + LOOKUP,
        f"{MAP};",
        "map 'm' of .*b.o is declared otherwise in .*a.o: type ARRAY and HASH; max_entries 1 and 2",
    ),
    "a map with another value": (
        f"struct v {{ int b; }}; extern {OF_STRUCTS};" + LOOKUP,
        f"struct v {{ int a; }}; {OF_STRUCTS};",
        "value: struct v has member 'a'",
    ),
    "two maps of a name": (f"{MAP};" + LOOKUP, f"{MAP};", "map 'm' is defined by both"),
    "another license": (
        USER % "1",
        'char L[] SEC("license") = "BSD"; int x = 1;',
        "license of .*a.o is 'GPL', that of .*b.o 'BSD'",
    ),
    "kernel functions of other types": (
        "extern int f(int) __ksym;" + USER % "f(1)",
        'extern int f(long) __ksym; SEC("socket") int b(void *c) { return f(1); }',
        "extern 'f' of .*a.o is declared otherwise in .*b.o",
    ),
    "an option of two types": (
        "extern int CONFIG_X __kconfig;" + USER % "CONFIG_X",
        'extern _Bool CONFIG_X __kconfig; SEC("socket") int b(void *c) { return CONFIG_X; }',
        "extern 'CONFIG_X' of .*a.o is declared otherwise in .*b.o",
    ),
}
OTHERWISE = {
    "an array of another length": (
        "extern int x[5];" + USER % "x[4]",
        "int x[4] = {1};",
        "4 elements and 5",  # libbpf reads past its end
    ),
    "a weak variable in another section": ("int x __weak;" + USER % "x", "int x = 2;", None),  # libbpf refuses it
    "one kernel function in two objects": (
        "extern int f(int) __ksym;" + USER % "f(1)",
        'extern int f(int) __ksym __weak; SEC("socket") int b(void *c) { return f(1); }',
        None,  # libbpf (1.1) fails to find its size
    ),
}
LICENSE = 'char LICENSE[] SEC("license") = "GPL";\n'


@pytest.mark.parametrize("case", GOES)
def test_what_libbpf_links_is_linked_alike(
    case: str, compiled: Callable[..., Path], bpftool: Callable[[list[Path]], Path | None]
) -> None:
    first, second = GOES[case]
    compare_all([compiled("a", first + LICENSE), compiled("b", second)], bpftool)


@pytest.mark.parametrize("case", REFUSED)
def test_what_libbpf_refuses_is_refused_with_the_difference(
    case: str, compiled: Callable[..., Path], bpftool: Callable[[list[Path]], Path | None]
) -> None:
    first, second, message = REFUSED[case]
    paths = [compiled("a", first + LICENSE), compiled("b", second)]
    assert bpftool(paths) is None
    with pytest.raises(SpecError, match=message):
        aiobpf.link_objects(paths)


@pytest.mark.parametrize("case", OTHERWISE)
def test_where_libbpf_decides_otherwise(
    case: str, compiled: Callable[..., Path], bpftool: Callable[[list[Path]], Path | None]
) -> None:
    first, second, message = OTHERWISE[case]
    paths = [compiled("a", first + LICENSE), compiled("b", second)]
    assert (bpftool(paths) is None) == (message is None)
    if message is None:
        aiobpf.link_objects(paths)
    else:
        with pytest.raises(SpecError, match=message):
            aiobpf.link_objects(paths)


def test_static_functions_keep_to_their_objects_whatever_global_ones_are_called(
    compiled: Callable[..., Path], bpftool: Callable[[list[Path]], Path | None]
) -> None:
    static = "static __noinline int f(int y) { barrier_var(y); return y + 1; }"
    paths = [
        compiled("a", static + USER % "f(1)" + LICENSE),
        compiled("b", "int f(int y) { return y + 2; }\n" + (USER % "f(skb->len)").replace("int a", "int b")),
    ]
    mine = aiobpf.link_objects(paths)
    assert list(mine.functions) == ["f.1", "f"]
    assert list(mine.programs["a"].instructions.functions()) == ["a", "f.1"]
    linked = bpftool(paths)
    assert linked is not None
    compare(mine, aiobpf.read_spec(linked))


def test_what_nobody_has_is_left_open(
    compiled: Callable[..., Path], bpftool: Callable[[list[Path]], Path | None]
) -> None:
    paths = [compiled("a", "extern int f(int);" + USER % "f(1)" + LICENSE), compiled("b", "int x = 1;")]
    mine = aiobpf.link_objects(paths)
    linked = bpftool(paths)
    assert linked is not None
    theirs = aiobpf.read_spec(linked)
    assert list(mine.externs) == list(theirs.externs) == ["f"]
    assert mine.programs["a"].instructions.references() == theirs.programs["a"].instructions.references()
    assert mine.types is not None
    assert mine.externs["f"].type in mine.types.all_by_name("f")


def test_a_file_without_types_calls_functions_by_name(compiled: Callable[..., Path]) -> None:
    path = compiled("a", "extern int f(int);" + USER % "f(1)" + LICENSE, "-g0")
    spec = aiobpf.read_spec(path)
    assert spec.types is None
    assert spec.externs["f"].type is None
    linked = aiobpf.link_objects([spec, compiled("b", "__noinline int f(int y) { return y; }\nint x;")])
    assert list(linked.programs["a"].instructions.functions()) == ["a", "f"]
    with pytest.raises(ElfError, match="defined nowhere, and BTF describes no such extern"):
        aiobpf.read_spec(compiled("c", "extern int x;" + USER % "x", "-g0"))
