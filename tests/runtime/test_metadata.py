"""The promises of the instruction model, kept through a load and seen in the kernel.

What an instruction means lives on it: functions, lines, relocations and maps go where it goes.
"""

from __future__ import annotations

import gc
from copy import deepcopy
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from elftools.elf.elffile import ELFFile

import aiobpf
from aiobpf import asm
from aiobpf.asm import R0, R1, R6, R10, SYMBOL, Instructions
from aiobpf.btf import CORE_RELOCATION, FUNCTION_INFO, LINE, Btf, Function, Line, load_btf_and_ext_infos
from aiobpf.errors import BpfError, BtfError, VerifierError
from aiobpf.runtime import MAP, Map, Program
from aiobpf.spec import MapSpec, ProgramSpec
from aiobpf.uapi import MapType, ProgramType

if TYPE_CHECKING:
    from aiobpf.spec import CollectionSpec

OBJECTS = Path(__file__).parent.parent / "objects"
PACKET = bytes(64)

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


def filter_spec(*instructions: asm.Instruction, name: str = "by_hand", **more: Any) -> ProgramSpec:
    return ProgramSpec(
        name=name, type=ProgramType.SOCKET_FILTER, license="GPL", instructions=Instructions(instructions), **more
    )


def lines_of(code: Instructions) -> dict[str, list[str]]:
    """The source lines of each function, in the order of its code."""
    texts = {index: line.text.strip() for index, line in code.with_key(LINE)}
    return {name: [texts[i] for i in where if i in texts] for name, where in code.functions().items()}


async def test_every_function_of_a_section_has_its_own_lines() -> None:
    """Notes are assigned to the whole section before it is split: two programs of one section, and what they share."""
    spec = aiobpf.read_spec(OBJECTS / "subprograms.bpf.o")
    assert spec.programs["first"].section == spec.programs["second"].section
    for name, last in (("first", "return middle(skb->len) + hidden(skb->len);"), ("second", "global_leaf(1);")):
        async with Program.load(spec.programs[name]) as program:
            read_back = lines_of((await program.info()).instructions)
        assert any(last in line for line in read_back[name])
        assert "return x * 2;" in read_back["leaf"]
        assert not any("x * 2" in line for line in read_back[name])


async def test_every_relocation_of_a_section_is_on_one_instruction_of_one_function() -> None:
    """None is lost where the section is split, and none is on two functions: as many as the records in the file."""
    path = OBJECTS / "core.bpf.o"
    with path.open("rb") as file:
        elf = ELFFile(file)
        sections = {section.name: section.data() for section in elf.iter_sections()}
    _, infos = load_btf_and_ext_infos(sections[".BTF"], sections[".BTF.ext"])
    assert infos is not None
    in_file = [
        (relocation.kind, relocation.type.name, relocation.access)
        for name in infos.sections
        if (section := infos.section(name)) is not None
        for _, relocation in section.relocations
    ]
    spec = aiobpf.read_spec(path)
    functions: dict[str, list[object]] = {}
    for program in spec.programs.values():
        for name, where in program.instructions.functions().items():
            notes = [program.instructions.get_metadata(i, CORE_RELOCATION) for i in where]
            functions[name] = [(each.kind, each.type.name, each.access) for each in notes if each is not None]
    on_code = [each for notes in functions.values() for each in notes]
    assert len(in_file) > 8
    assert sorted(map(str, on_code)) == sorted(map(str, in_file))


async def test_two_programs_of_two_objects_joined_have_the_functions_and_lines_of_both() -> None:
    """No offset is said anywhere; the kernel gives back what each instruction carried, and the program does both."""
    first = aiobpf.read_spec(OBJECTS / "subprograms.bpf.o").programs["first"]
    count = aiobpf.read_spec(OBJECTS / "globals.bpf.o").programs["count"]
    main = Instructions(
        [
            asm.mov(R6, R1).with_symbol("both"),
            asm.call_function("first"),
            asm.mov(R1, R6),
            asm.mov(R6, R0),
            asm.call_function("count"),
            asm.add(R0, R6),
            asm.exit_(),
        ]
    )
    joined = main + first.instructions + count.instructions
    spec = ProgramSpec(name="both", type=ProgramType.SOCKET_FILTER, license="GPL", instructions=joined, maps=count.maps)
    alone: list[int] = []
    expected: dict[str, list[str]] = {}
    for each in (first, count):
        async with Program.load(each) as program:
            alone.append((await program.run(PACKET)).retval)
            expected |= lines_of((await program.info()).instructions)
    async with Program.load(spec) as program:
        assert (await program.run(PACKET)).retval == sum(alone)
        code = (await program.info()).instructions
    assert lines_of(code) == {"both": [""]} | expected, "a function has a line, if an empty one"
    notes = {function.name: str(function.type) for _, function in code.with_key(FUNCTION_INFO)}
    assert notes.keys() == {"both", *expected}


async def test_a_function_that_begins_with_a_poisoned_instruction_stays_a_function() -> None:
    """Its name, type, line and relocation are on that instruction: cilium/ebpf loses them, and cannot link it."""
    spec = aiobpf.read_spec(OBJECTS / "poison.bpf.o")
    code = spec.programs["guarded_field"].instructions
    first = code.metadata(code.functions()["read_what_is_missing"].start)
    assert None not in (first.get(SYMBOL), first.get(FUNCTION_INFO), first.get(LINE), first.get(CORE_RELOCATION))
    async with Program.load(spec.programs["guarded_field"]) as program:
        assert (await program.run(context=bytes(16))).retval == 5
    with pytest.raises(VerifierError, match=r"task_struct\.no_such_field") as caught:
        await Program.load(spec.programs["unguarded_field"])
    assert caught.value.source is not None
    assert "return task->no_such_field;" in caught.value.source
    assert "return task->no_such_field;" in caught.value.log


async def test_an_object_without_btf_loads_and_runs() -> None:
    async with aiobpf.load(OBJECTS / "no_btf.bpf.o") as coll:
        await coll.programs["advance"].run(PACKET, repeat=4)
        assert coll.spec.types is None
        assert int.from_bytes(coll.variables["count"].value, "little") == 8
        info = await coll.programs["advance"].info()
        assert list(info.instructions.metadata_keys()) in ([], [asm.REFERENCE])


async def test_a_load_makes_no_line_and_no_object_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the object to the kernel, ext infos are bytes; Line objects are made when somebody looks at one."""
    made: list[object] = []
    real = Line.__init__

    def count(self: Line, *arguments: Any, **options: Any) -> None:
        made.append(self)
        real(self, *arguments, **options)

    monkeypatch.setattr(Line, "__init__", count)
    spec = aiobpf.read_spec(OBJECTS / "subprograms.bpf.o")
    async with Program.load(spec.programs["first"]):
        assert not made
    assert spec.programs["first"].instructions[0].metadata.get(LINE) is not None
    assert made, "the count counts"


async def test_the_types_of_an_object_are_read_without_its_ext_infos(tmp_path: Path) -> None:
    """Garbled ones are no matter to somebody who asks for types, and a named error for a spec."""
    data = bytearray((OBJECTS / "subprograms.bpf.o").read_bytes())
    magic = b"\x9f\xeb\x01\x00"
    first = data.index(magic)
    second = data.index(magic, first + 1)
    data[second : second + 4] = bytes(4)
    path = tmp_path / "garbled.bpf.o"
    path.write_bytes(data)
    assert Btf.from_file(path).by_name("first", Function).name == "first"
    with pytest.raises(BtfError):
        aiobpf.read_spec(path)


async def test_a_comment_stands_in_the_verifier_log_above_its_instruction() -> None:
    spec = aiobpf.read_spec(OBJECTS / "rejected.bpf.o").programs["unchecked"]
    spec.instructions[0] = spec.instructions[0].with_comment("what the user remarked")
    with pytest.raises(VerifierError) as caught:
        await Program.load(spec)
    lines = caught.value.log_lines
    at = next(i for i, line in enumerate(lines) if "; what the user remarked" in line)
    assert any(line.startswith("0: (") for line in lines[at : at + 3])


async def test_a_map_on_an_instruction_lives_as_long_as_the_instruction() -> None:
    spec = MapSpec(name="counter", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
    counter = await Map.create(spec)
    program = filter_spec(
        asm.st(4, R10, -4, 0),
        asm.mov(asm.R2, R10),
        asm.add(asm.R2, -4),
        asm.load_map_ptr(R1, "counter").with_metadata(MAP, counter),
        asm.call_helper("map_lookup_elem"),
        asm.jeq(R0, 0, "out"),
        asm.st(8, R0, 0, 7),
        asm.mov(R0, 0).with_label("out"),
        asm.exit_(),
    )
    number = counter.info().id
    del counter, spec
    gc.collect()
    part = program.instructions[2:5]  # a cut of it holds the map as well
    loaded = await Program.load(program)
    async with loaded:
        await loaded.run(PACKET)
        (used,) = (await loaded.info()).map_ids
        assert used == number
    del program
    gc.collect()
    found = part.get_metadata(1, MAP)
    assert found is not None
    assert int.from_bytes(found[0], "little") == 7
    await found.aclose()


async def test_one_spec_is_loaded_again_and_again_with_a_replaced_map_at_any_time() -> None:
    """cilium/ebpf's issues 515, 517 and 522: neither load may spoil the map, the spec or the other load."""
    spec = aiobpf.read_spec(OBJECTS / "globals.bpf.o")
    for order in permutations(["own", "given", "alone"]):
        bss = next(name for name in spec.maps if name == ".bss")
        async with Map.create(spec.maps[bss]) as shared:
            for how in order:
                if how == "alone":
                    async with Program.load(spec.programs["count"]) as program:
                        assert (await program.run(PACKET)).retval
                    continue
                given = {bss: shared} if how == "given" else {}
                async with aiobpf.load(spec, programs=["count"], replace_maps=given) as coll:
                    await coll.programs["count"].run(PACKET)
                    assert coll.variables["zero"].value == 0x1001
                    used = coll.maps[bss].info().id == shared.info().id
                    assert used == (how == "given")
            assert shared.lookup_bytes(0) is not None, "still open, and written to once"


def fingerprint(spec: CollectionSpec) -> object:
    """Everything that a spec says, down to the bytes and notes of each instruction."""
    code = {
        name: (
            program.instructions.encode(program.byte_order),
            [(index, str(key), str(value)) for key in program.instructions.metadata_keys()
             for index, value in program.instructions.with_key(key)],
            [getattr(program, each.name) for each in attrs.fields(ProgramSpec)
             if each.name not in {"instructions", "types", "maps"}],
            list(program.maps),
        )
        for name, program in spec.programs.items()
    }  # fmt: skip
    maps = deepcopy({name: attrs.asdict(map_, recurse=False) for name, map_ in spec.maps.items()})
    variables = {name: (v.section, v.offset, v.size, bytes(v.raw)) for name, v in spec.variables.items()}
    return code, maps, variables, dict(spec.externs), None if spec.types is None else spec.types.raw


def every_object() -> list[Path]:
    return sorted(path for path in OBJECTS.glob("*.bpf.o") if ".eb." not in path.name)


@pytest.mark.slow
@pytest.mark.parametrize("path", every_object(), ids=lambda path: path.name.removesuffix(".bpf.o"))
async def test_a_load_changes_nothing_of_a_spec(path: Path, tmp_path: Path) -> None:
    """Of each object at hand, whether it loads here or is refused."""
    spec = aiobpf.read_spec(path)
    before, copy = fingerprint(spec), spec.copy()
    for name in spec.programs:
        try:
            program = await Program.load(spec.programs[name])
        except BpfError:
            pass
        else:
            await program.aclose()
    try:
        collection = await aiobpf.Collection.load(spec, pin_path=tmp_path)
    except BpfError:
        pass
    else:
        await collection.aclose()
    assert fingerprint(spec) == before
    assert spec == copy


async def test_a_body_put_in_by_hand_keeps_its_name_and_is_linked() -> None:
    """A symbol and what refers to it are enough: no other note has to come along."""
    spec = aiobpf.read_spec(OBJECTS / "subprograms.bpf.o").programs["first"]
    where = spec.instructions.functions()["leaf"]
    body = Instructions([asm.mov(R0, 100).with_symbol("leaf"), asm.exit_()])
    spec.instructions[where.start : where.stop] = body
    assert [name for _, name in spec.instructions.with_key(SYMBOL)].count("leaf") == 1
    async with Program.load(spec) as program:
        n = (await program.run(PACKET)).retval
        length = len(PACKET) - 14
        assert n in {100 + x + 1 + 100 - 1 for x in (length, len(PACKET))}
        code = (await program.info()).instructions
    assert "leaf" in code.functions()
    assert "return x + 1;" in lines_of(code)["global_leaf"]
