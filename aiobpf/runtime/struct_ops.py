"""struct_ops: programs in a struct of the kernel's, which calls them where it would call its own functions.

A struct_ops map has one element, the kernel's ``struct bpf_struct_ops_NAME``, in which the struct NAME lies. What an
object says of it is in `StructOpsMembers`; here it becomes a map of this kernel's layout. (kernel/bpf/bpf_struct_ops.c)
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final, final

from attrs import define, frozen

from aiobpf import kernel
from aiobpf.btf import Enum, Struct, member_places, size_of, strip_qualifiers
from aiobpf.errors import KernelError, NotSupportedError, SpecError, kernel_error
from aiobpf.kernel import features
from aiobpf.runtime.map import Map
from aiobpf.runtime.struct_ops_value import KernelValue
from aiobpf.uapi import MapFlags, MapType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.btf import Btf
    from aiobpf.kernel.btf import KernelType
    from aiobpf.runtime.load_context import LoadContext
    from aiobpf.runtime.program import Program
    from aiobpf.spec import MapSpec, ProgramSpec

_VALUE_PREFIX: Final = "bpf_struct_ops_"
_COMMON: Final = "common_value"  # what all of them begin with, since 6.9
_KEY: Final = bytes(4)


@frozen
class KernelStructOps:
    """What the kernel knows of one struct: its type, and that of the value it lies in, with their ids."""

    struct: Struct
    struct_id: int
    value: KernelType
    offset: int
    """Of the struct in the value, in bytes."""

    @classmethod
    def find(cls, name: str, context: LoadContext) -> KernelStructOps:
        """The struct *name*, in vmlinux or a module (6.9). NotSupportedError names those that there are."""
        value = context.cache.find(_VALUE_PREFIX + name, Struct)
        if value is None:
            raise NotSupportedError(f"struct_ops {name!r}", hint=_known(context.vmlinux, name))
        assert isinstance(value.type, Struct)
        for member in value.type.members:
            struct = strip_qualifiers(member.type)
            if isinstance(struct, Struct) and struct.name == name:
                return cls(struct, value.btf.id_of(struct), value, member.offset)
        raise NotSupportedError(f"struct_ops {name!r}, whose {value.type!r} does not hold it")


def _knows_links(found: KernelStructOps) -> bool:
    """Whether a value has the state that only links use."""
    states = found.value.btf.all_by_name("bpf_struct_ops_state", Enum)
    return any(each.name == "BPF_STRUCT_OPS_STATE_READY" for state in states for each in state.enumerators)


def _known(btf: Btf, name: str) -> str:
    names = {each.name.removeprefix(_VALUE_PREFIX) for each in btf.types if each.name.startswith(_VALUE_PREFIX)}
    names.discard(_COMMON)
    from difflib import get_close_matches

    close = get_close_matches(name, names)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"This kernel has {', '.join(sorted(names)) or 'none'}, and perhaps others in modules that are not loaded"


@frozen
class StructOpsTarget:
    """The member that a program is verified for: the struct's type, and the member's index in it."""

    struct: KernelType
    member: int


def struct_ops_target(spec: ProgramSpec, context: LoadContext) -> StructOpsTarget:
    """What `ProgramSpec.attach_to` names ("tcp_congestion_ops:init") in the running kernel.

    SpecError where it names nothing, NotSupportedError where this kernel has no such struct or member.
    """
    name, colon, member = spec.attach_to.partition(":")
    if not colon:
        raise SpecError(
            f"program {spec.name!r} (section {spec.section!r}) is in no struct_ops map, so nothing says which member "
            "of which struct it is for: put its name into a map (spec.maps[...].members[...]), or set attach_to to "
            '"STRUCT:MEMBER" in its spec'
        )
    try:
        found = KernelStructOps.find(name, context)
    except NotSupportedError as error:
        raise NotSupportedError(f"program {spec.name!r}: {error}") from None
    places = member_places(found.struct)
    place = places.get(member)
    if place is None or not place.is_function_pointer:
        from difflib import get_close_matches

        close = get_close_matches(member, [each.name for each in places.values() if each.is_function_pointer])
        raise NotSupportedError(
            f"program {spec.name!r}: this kernel's struct {name} has no function {member!r}",
            hint=f"Did you mean {close[0]!r}?" if close else None,
        )
    value = found.value
    return StructOpsTarget(
        kernel.KernelType(found.struct, found.struct_id, value.btf, value.module, value.btf_fd), place.index
    )


@final
@define(eq=False)
class Registration:
    """What a struct_ops map is to hold, once its programs are loaded; `Map.registration` has it."""

    value: bytearray
    """The element, but for the programs."""
    members: dict[int, tuple[str, str]]
    """Member and program name, by the offset of the pointer in the element."""
    programs: dict[str, Program]
    is_linked: bool
    """Whether a link registers it (BPF_F_LINK, 6.4), or the update of its element."""

    def element(self) -> bytes:
        """The element with the programs' descriptors in it. ClosedError where one was closed meanwhile."""
        for offset, (_, name) in self.members.items():
            self.value[offset : offset + 8] = self.programs[name].fileno().to_bytes(8, sys.byteorder)
        return bytes(self.value)


def create_struct_ops_map(spec: MapSpec, context: LoadContext) -> Map:
    """The map of *spec* in this kernel's layout, still empty: `fill_struct_ops` puts the programs in.

    NotSupportedError where the kernel lacks the struct, or a member that is not 0; SpecError for one that does not fit.
    """
    subject = f"struct_ops map {spec.name!r}"
    members = spec.members
    if members is None:
        raise SpecError(f"{subject} has no members: set StructOpsMembers in its spec")
    try:
        found = KernelStructOps.find(members.struct_name, context)
    except NotSupportedError as error:
        raise NotSupportedError(f"{subject}: {error}") from None
    filled = KernelValue(spec.name, members, found.struct)
    size = size_of(found.value.type)
    value = bytearray(size)
    value[found.offset : found.offset + len(filled.data)] = filled.data
    try:
        fd = kernel.create_map(
            MapType.STRUCT_OPS,
            4,
            size,
            1,
            name=spec.name,
            flags=spec.flags,
            btf=context.btf.fd,
            kernel_value_type_id=found.value.type_id,
            value_type_btf=found.value.btf_fd,
            token=context.token,
        )
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        if not features.supports_map_type(MapType.STRUCT_OPS):
            raise NotSupportedError(subject, "5.6") from error
        if found.value.btf_fd is not None and not _knows_links(found):
            raise NotSupportedError(f"{subject} for a struct of module {found.value.module!r}", "6.9") from error
        if spec.flags & MapFlags.LINK and not _knows_links(found):
            raise NotSupportedError(
                f"{subject} with a link",
                "6.4",
                f'Register it without: spec.maps[{spec.name!r}].flags = 0, or SEC(".struct_ops")',
            ) from error
        raise
    made = Map(
        fd,
        name=spec.name,
        type=MapType.STRUCT_OPS,
        key_size=4,
        value_size=size,
        max_entries=1,
        flags=spec.flags,
        value_type=found.value.type,
        types=found.value.btf,
        spec=spec,
    )
    offsets = {found.offset + offset: each for offset, each in filled.programs.items()}
    made.registration = Registration(value, offsets, {}, bool(spec.flags & MapFlags.LINK))
    return made


def fill_struct_ops(made: Map, programs: Mapping[str, Program]) -> None:
    """Give the map its programs. One with a link is filled now, and the kernel looks at it; any other when it attaches,
    for its update is what registers it."""
    registration = made.registration
    assert registration is not None
    for member, name in registration.members.values():
        program = programs.get(name)
        if program is None:
            raise SpecError(
                f"member {member!r} of struct_ops map {made.name!r} is program {name!r}, which was not loaded: load it "
                f"too, or leave the member out (members[{member!r}] = None)"
            )
        registration.programs[name] = program
    if registration.is_linked:
        update_struct_ops(made)


def update_struct_ops(made: Map) -> None:
    """Write the map's element, which registers one without a link. KernelError says what the kernel dislikes."""
    registration = made.registration
    assert registration is not None
    try:
        made.elements.update(_KEY, registration.element(), 0)
    except KernelError as error:
        hint = error.hint
        if error.errno == errno.EINVAL:
            hint = "The kernel refuses a member: one that it does not let programs set, or one that has to be there"
        elif error.errno == errno.EBUSY:
            hint = "It was registered before, and each map is once: load the collection again"
        raise kernel_error(
            error.errno or errno.EINVAL, error.operation, f"struct_ops map {made.name!r}", hint
        ) from error
