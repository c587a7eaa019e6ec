"""The kernel type that a program is verified against: the function, tracepoint or hook named in its section."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from aiobpf.errors import NotSupportedError, SpecError, UnresolvedSymbolError
from aiobpf.spec.attach_target import split_module, target_name
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from aiobpf.btf import Btf, Type
    from aiobpf.kernel.btf import KernelType
    from aiobpf.runtime.load_context import LoadContext
    from aiobpf.spec import ProgramSpec

_LATER = {
    ProgramType.EXT: "replacing a function of another program (freplace) is not there yet",
}


def attach_target(spec: ProgramSpec, context: LoadContext) -> KernelType | None:
    """What *spec* is verified against, or None where its type needs nothing of the kind.

    UnresolvedSymbolError where this kernel has no such function, tracepoint or hook; NotSupportedError for what a spec
    cannot name yet.
    """
    if spec.type in _LATER:
        raise NotSupportedError(
            f"program {spec.name!r} (section {spec.section!r}): {_LATER[spec.type]}",
            hint="Leave it out: load(..., programs=[...])",
        )
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
        raise UnresolvedSymbolError(
            f"program {spec.name!r}: the kernel has no {what} {name!r}"
            f"{_suggestion(context.vmlinux, prefix, name, kind)}",
            name,
        )
    return found


def _suggestion(btf: Btf, prefix: str, name: str, kind: type[Type]) -> str:
    # Only in the error path, and only for the small name spaces: all functions of a kernel would take a second.
    if not prefix:
        return " (or it was inlined, or it is not traceable)"
    names = [
        one.name.removeprefix(prefix) for one in btf.types if isinstance(one, kind) and one.name.startswith(prefix)
    ]
    close = get_close_matches(name, names)
    return f"; did you mean {' or '.join(map(repr, close[:2]))}?" if close else ""
