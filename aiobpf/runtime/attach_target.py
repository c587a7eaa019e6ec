"""What a program is verified against: the kernel's function, tracepoint or hook named in its section, or a function of
another BPF program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aiobpf.errors import SpecError, UnresolvedSymbolError
from aiobpf.runtime.program_functions import function_type_ids
from aiobpf.spec.attach_target import MULTI_ATTACH_TYPES, split_module, target_name
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from aiobpf.btf import Btf, Type
    from aiobpf.runtime.load_context import LoadContext
    from aiobpf.runtime.program import Program
    from aiobpf.spec import ProgramSpec

_LENGTH_APART = 3


@frozen
class AttachTarget:
    """A BTF type (0: any): of vmlinux, of the module whose BTF object is *btf_fd*, or of the program *program_fd*."""

    type_id: int
    btf_fd: int | None = None
    program_fd: int | None = None


def attach_target(spec: ProgramSpec, context: LoadContext) -> AttachTarget | None:
    """What *spec* is verified against, or None where its type needs nothing of the kind.

    UnresolvedSymbolError where this kernel, or the program that it attaches to, has no such function, tracepoint or
    hook; SpecError where nothing says which one.
    """
    other = context.options.attach_programs.get(spec.name)
    if other is not None:
        return _function_of_program(spec, other)
    if spec.type == ProgramType.EXT:
        raise SpecError(
            f"program {spec.name!r} (section {spec.section!r}) replaces a function of another program, which has to be "
            f"loaded first: load(..., attach_programs={{{spec.name!r}: program}})"
        )
    if spec.type == ProgramType.TRACING and spec.attach_type in MULTI_ATTACH_TYPES:
        module, _ = split_module(spec.attach_to)
        return AttachTarget(0, btf_fd=context.cache.module_fd(module) if module else None)
    wanted = target_name(spec)
    if wanted is None:
        return None
    prefix, kind, what = wanted.prefix, wanted.kind, wanted.word
    if not spec.attach_to:
        raise SpecError(
            f"program {spec.name!r} (section {spec.section!r}) names no {what}: the section says it after a slash, or "
            "set attach_to in its spec"
        )
    module, name = split_module(spec.attach_to)
    found = context.cache.find(prefix + name, kind, module=module)
    if found is None:
        where = f"module {module!r}" if module else "the kernel"
        raise UnresolvedSymbolError(
            f"program {spec.name!r}: {where} has no {what} {name!r}{_suggestion(context.vmlinux, prefix, name, kind)}",
            name,
        )
    return AttachTarget(found.type_id, btf_fd=found.btf_fd)


def _function_of_program(spec: ProgramSpec, other: Program) -> AttachTarget:
    """The function of *other* that *spec* names, or the one that it begins with."""
    wanted = target_name(spec)
    is_traced = spec.type == ProgramType.TRACING and wanted is not None and wanted.word == "function"
    if spec.type != ProgramType.EXT and not is_traced:
        raise SpecError(
            f"program {spec.name!r} is of type {spec.type.name}: only freplace, fentry, fexit and fsession programs "
            "attach to a program"
        )
    ids = function_type_ids(other)
    if not ids:
        raise SpecError(
            f"program {spec.name!r} cannot attach to program {other.name!r}, which was loaded without the types of its "
            "functions (BTF)"
        )
    name = spec.attach_to or next(iter(ids))
    if name not in ids:
        raise UnresolvedSymbolError(
            f"program {spec.name!r}: program {other.name!r} has no function {name!r}; it has {', '.join(ids)}", name
        )
    return AttachTarget(ids[name], program_fd=other.fileno())


def _suggestion(btf: Btf, prefix: str, name: str, kind: type[Type]) -> str:
    # Names that begin alike, of the tens of thousands that there are: comparing all of them takes seconds.
    start = prefix or name[:3]
    names = [known.removeprefix(prefix) for known in btf.names(kind, start)]
    if not prefix:
        names = [known for known in names if abs(len(known) - len(name)) <= _LENGTH_APART]
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=2, cutoff=0.8)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    return hint if prefix else f"{hint} (or it was inlined, or it is not traceable)"
