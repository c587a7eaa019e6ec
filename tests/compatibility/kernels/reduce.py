"""Make the kernels of these tests: ``reduce.py FOLDER`` reads every RELEASE.btf.xz there and writes a small one here.

Of a kernel's BTF is kept what the tests ask of it: the types that their objects are relocated by, the enums of bpf(2),
and the functions, tracepoints and variables that are named in the objects, with the tags of kernel functions. The other
structs that are looked at (bpf_ctx_convert ...) keep the names of their members only.
"""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

from aiobpf.btf import (
    Btf,
    BtfBuilder,
    CoreRelocation,
    Enum,
    Function,
    FunctionPrototype,
    Int,
    IntEncoding,
    Linkage,
    Member,
    Parameter,
    Pointer,
    Struct,
    Type,
    Typedef,
    Union,
    Variable,
    Void,
    minimal_btf,
    strip_qualifiers,
)
from aiobpf.elf import read_spec
from aiobpf.spec import CollectionSpec, ExternKind
from aiobpf.spec.core_relocations import core_relocations
from aiobpf.spec.sections import parse_section
from tests.elf.conftest import embedded_object

HERE = Path(__file__).parent
OBJECTS = HERE.parent.parent / "objects"
OWN = ("core", "externs", "guards", "map_kinds", "subprograms", "local_scope")
TOOLS = ("bindsnoop", "offcputime", "runqlen")
ENUMS = ("bpf_attach_type", "bpf_func_id", "bpf_map_type", "bpf_prog_type")
STRUCTS = ("bpf_ctx_convert", "bpf_func_info_aux", "bpf_kfunc_desc_tab")
FUNCTIONS = (
    "array_map_alloc", "sock_map_alloc", "sock_hash_alloc", "stack_map_alloc", "xsk_map_alloc", "atomic_ptr_type_ok",
    "bpf_task_acquire", "bpf_task_from_pid", "bpf_cast_to_kern_ctx", "bpf_rdonly_cast",
    "__x64_sys_bpf", "__arm64_sys_bpf", "__s390x_sys_bpf",
)  # fmt: skip
INT = Int("int", 4, encoding=IntEncoding.SIGNED)


def specs() -> list[CollectionSpec]:
    own = [read_spec(OBJECTS / f"{name}.bpf.o") for name in OWN]
    return own + [read_spec(embedded_object(Path("/usr/sbin") / name)) for name in TOOLS]


def shallow(type_: Type) -> Type:
    """*type_* without what is in its structs: a prototype is compared by the kinds of its types."""
    bare = strip_qualifiers(type_)
    if isinstance(bare, Pointer):
        return Pointer(shallow(bare.target))
    if isinstance(bare, FunctionPrototype):
        return shallow_prototype(bare)
    if isinstance(bare, Struct | Union):
        return Struct(bare.name, bare.size, ()) if isinstance(bare, Struct) else Union(bare.name, bare.size, ())
    return bare


def shallow_prototype(prototype: FunctionPrototype) -> FunctionPrototype:
    parameters = [Parameter(each.name, shallow(each.type)) for each in prototype.parameters]
    return FunctionPrototype(shallow(prototype.return_type), parameters)


def reduce(kernel: Btf, objects: list[CollectionSpec]) -> bytes:
    """The small BTF, encoded."""
    builder = BtfBuilder(byte_order=kernel.byte_order)
    relocations: list[list[CoreRelocation]] = [core_relocations(spec) for spec in objects]
    part = minimal_btf(relocations, kernel)
    for number in range(1, len(part.types)):
        builder.add(part.type_by_id(number))
    for name in ENUMS:
        for enum in kernel.all_by_name(name, Enum):
            builder.add(enum)
    for name in STRUCTS:
        for struct in kernel.all_by_name(name, Struct):
            members = [Member(member.name, INT, 32 * i) for i, member in enumerate(struct.members)]
            builder.add(Struct(name, 4 * len(members), members))
    targets = {
        parse_section(program.section).attach_to.rpartition("/")[2]
        for spec in objects
        for program in spec.programs.values()
    }
    externs = {extern.name: extern for spec in objects for extern in spec.externs.values()}
    kernels_own = [name for name, extern in externs.items() if extern.kind in {ExternKind.KFUNC, ExternKind.KSYM}]
    for name in sorted({*FUNCTIONS, *targets, *kernels_own}):
        for function in kernel.all_by_name(name, Function):
            tags = kernel.tags_of(kernel.id_of(function))
            builder.add(Function(name, shallow_prototype(function.type), Linkage.STATIC, tags))
        for variable in kernel.all_by_name(name, Variable):
            builder.add(Variable(name, shallow(variable.type), variable.linkage))
    for name in sorted({"sched_switch", *targets}):
        for tracepoint in kernel.all_by_name(f"btf_trace_{name}", Typedef):
            builder.add(Typedef(tracepoint.name, Pointer(FunctionPrototype(Void(), ()))))
    return builder.encode()


def main(folder: Path) -> None:
    objects = specs()
    for path in sorted(folder.glob("*.btf.xz")):
        data = lzma.compress(reduce(Btf.from_file(path), objects), preset=9 | lzma.PRESET_EXTREME)
        (HERE / path.name).write_bytes(data)
        print(f"{path.name}: {len(data)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
