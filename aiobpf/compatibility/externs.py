"""Kernel functions, symbols and configuration values that an object refers to, and what a kernel makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from attrs import frozen

from aiobpf.asm import REFERENCE, CallKind
from aiobpf.asm.opcodes import CALL_OP
from aiobpf.btf import Function, Variable, format_c
from aiobpf.compatibility.reachability import Memory
from aiobpf.compatibility.report import Need, Stage, Status
from aiobpf.compatibility.values import NONZERO, UNDECIDED, Place, Value
from aiobpf.errors import SpecError
from aiobpf.spec import EXTERN, Extern, ExternKind
from aiobpf.spec.extern_types import fits, kernel_name
from aiobpf.spec.kconfig import KCONFIG, encode_option, parse_option
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Literal

    from aiobpf.asm import Instructions
    from aiobpf.compatibility.kernel import TargetKernel
    from aiobpf.spec import MapSpec

NEEDS: Mapping[ExternKind, Need] = {
    ExternKind.KFUNC: Need.KFUNC,
    ExternKind.KSYM: Need.KSYM,
    ExternKind.KCONFIG: Need.KCONFIG,
    ExternKind.FUNCTION: Need.SYMBOL,
    ExternKind.MAP: Need.SYMBOL,
    ExternKind.VARIABLE: Need.SYMBOL,
}
_NOT_IN_VMLINUX = "vmlinux does not have it, and its modules were not given"
_TOO_OLD = "the kernel is older than calls of its functions (5.13)"
_OTHERWISE = "the kernel has it, but not as the object declares it"
_ATTACH_COOKIE = 174
_WRAPPERS = tuple(f"__{arch}_sys_bpf" for arch in ("x64", "arm64", "s390x", "riscv", "arm", "ia32", "mips", "powerpc"))


@frozen
class ExternAnswer:
    """One extern in one kernel. *value* is what the address of a kfunc or ksym comes to, *contents* the bytes of a
    kconfig value (None: not known here). Of a kfunc, *is_callable* says whether a call of it is accepted."""

    status: Status
    stage: Stage = Stage.LOAD
    answer: str = ""
    reason: str = ""
    value: Value = NONZERO
    contents: bytes | None = None
    is_callable: bool = True


@final
class ExternAnswers:
    """The externs of one object in one kernel."""

    def __init__(self, externs: Iterable[Extern], kernel: TargetKernel, byte_order: Literal["little", "big"]) -> None:
        self._kernel = kernel
        self._byte_order: Literal["little", "big"] = byte_order
        self._known = {extern.name: self._find(extern) for extern in externs}

    def __getitem__(self, extern: Extern) -> ExternAnswer:
        found = self._known.get(extern.name)
        if found is None:  # a program that was put together by hand
            found = self._known[extern.name] = self._find(extern)
        return found

    @staticmethod
    def of(instructions: Instructions) -> list[tuple[int, Extern]]:
        """What the instructions ask for, by slot; a call of a kernel function by its name alone is one as well."""
        asked = list(instructions.with_key_by_slot(EXTERN))
        for index in instructions.find(CALL_OP, CallKind.KFUNC):
            reference = instructions.get_metadata(index, REFERENCE)
            if reference is not None and instructions.get_metadata(index, EXTERN) is None:
                asked.append((instructions.slot_of(index), Extern(reference.name, ExternKind.KFUNC)))
        return sorted(asked, key=lambda each: each[0])

    def loads(self, instructions: Instructions) -> dict[int, Value]:
        """What the instructions that load an extern's address get, by slot."""
        values: dict[int, Value] = {}
        for slot, extern in instructions.with_key_by_slot(EXTERN):
            if extern.kind is ExternKind.KCONFIG:
                values[slot] = Place(KCONFIG, extern.offset)
            elif instructions.at_slot(slot).opcode != CALL_OP:
                values[slot] = self[extern].value
        return values

    def refused_calls(self, instructions: Instructions) -> dict[int, Extern]:
        """Calls of kernel functions that this kernel does not accept, by slot."""
        return {
            slot: extern
            for slot, extern in self.of(instructions)
            if extern.kind is ExternKind.KFUNC
            and not self[extern].is_callable
            and instructions.at_slot(slot).is_kfunc_call
        }

    def configuration(self, size: int, externs: Iterable[Extern]) -> Memory:
        """What the map .kconfig, of *size* bytes, holds there."""
        data, known = bytearray(size), bytearray(b"\1" * size)
        for extern in externs:
            if extern.kind is ExternKind.KCONFIG:
                contents = self[extern].contents
                place = slice(extern.offset, extern.offset + extern.size)
                if contents is None:
                    known[place] = bytes(extern.size)
                else:
                    data[place] = contents
        return Memory(bytes(data), bytes(known))

    # --- one by one ---------------------------------------------------------------------------------------------------

    def _find(self, extern: Extern) -> ExternAnswer:
        if not extern.kind.is_of_kernel:
            reason = f"this {extern.kind.value} is of another object: link them first (aiobpf.link_objects)"
            return ExternAnswer(Status.MISSING, reason=reason, value=UNDECIDED)
        if extern.kind is ExternKind.KFUNC:
            return self._kfunc(extern)
        if extern.kind is ExternKind.KSYM:
            return self._ksym(extern)
        return self._option(extern)

    def _kfunc(self, extern: Extern) -> ExternAnswer:
        kernel, name = self._kernel, kernel_name(extern)
        candidates = list(kernel.find_all(name, Function))
        if not candidates:
            return self._not_found(extern) if kernel.has_kfuncs else self._missing(extern, _TOO_OLD)
        found = next((each for each in candidates if fits(extern, each[0])), None)
        if found is None:
            return self._missing(extern, f"{_OTHERWISE}: {format_c(candidates[0][0])}")
        function, module = found
        if kernel.is_kfunc(function, module):
            return ExternAnswer(Status.RESOLVED, answer=module or "vmlinux")
        reason = "it is a function of the kernel, but not one that programs may call"
        if not kernel.has_kfuncs:
            reason = _TOO_OLD
        return ExternAnswer(Status.MISSING, answer=module or "vmlinux", reason=reason, is_callable=False)

    def _ksym(self, extern: Extern) -> ExternAnswer:
        kernel = self._kernel
        if extern.type is not None:
            return self._typed_ksym(extern)
        if kernel.symbols is not None:
            if extern.name in kernel.symbols:
                return ExternAnswer(Status.RESOLVED, answer="kallsyms")
            return self._missing(extern)
        for kind in (Function, Variable):
            found = kernel.find(extern.name, kind)
            if found is not None:
                return ExternAnswer(Status.RESOLVED, answer=found[1] or "vmlinux")
        reason = "BTF does not have it, and kallsyms was not given"
        stage = Stage.NOTHING if extern.is_weak else Stage.LOAD
        return ExternAnswer(Status.UNKNOWN, stage, reason=reason, value=UNDECIDED)

    def _typed_ksym(self, extern: Extern) -> ExternAnswer:
        kernel = self._kernel
        candidates = list(kernel.find_all(extern.name, Variable))
        if not candidates:
            return self._not_found(extern)
        found = next((each for each in candidates if fits(extern, each[0])), None)
        if found is None:  # weak or not: there is no reading it as something else
            return ExternAnswer(Status.MISSING, reason=f"{_OTHERWISE}: {format_c(candidates[0][0])}")
        answer = found[1] or "vmlinux"
        if kernel.symbols is not None and extern.name not in kernel.symbols:
            # The verifier looks the address up (check_pseudo_btf_id), wherever the instruction is.
            reason = "BTF has it, kallsyms has not (CONFIG_KALLSYMS_ALL)"
            return ExternAnswer(Status.MISSING, answer=answer, reason=reason)
        return ExternAnswer(Status.RESOLVED, answer=answer)

    def _not_found(self, extern: Extern) -> ExternAnswer:
        if self._kernel.is_complete:
            return self._missing(extern)
        if not extern.is_weak:
            return ExternAnswer(Status.UNKNOWN, reason=_NOT_IN_VMLINUX)
        # Objects that cope with its absence are checked for that; a module that has it makes them no worse.
        return self._missing(extern, _NOT_IN_VMLINUX)

    @staticmethod
    def _missing(extern: Extern, reason: str = "") -> ExternAnswer:
        if extern.is_weak:
            return ExternAnswer(Status.ABSENT, Stage.NOTHING, "0", reason, value=0, is_callable=False)
        return ExternAnswer(Status.MISSING, reason=reason, value=UNDECIDED)

    # --- configuration ------------------------------------------------------------------------------------------------

    def _option(self, extern: Extern) -> ExternAnswer:
        if not extern.name.startswith("CONFIG_"):
            return self._virtual(extern)
        options = self._kernel.config
        if options is None:
            stage = Stage.NOTHING if extern.is_weak else Stage.LOAD
            return ExternAnswer(Status.UNKNOWN, stage, reason="the configuration was not given")
        text = options.get(extern.name)
        if text is None:
            if extern.is_weak:
                return ExternAnswer(Status.ABSENT, Stage.NOTHING, "0", contents=bytes(extern.size))
            return ExternAnswer(Status.MISSING, reason="the configuration does not set it, and it is not __weak")
        try:
            contents = encode_option(extern, parse_option(extern.name, text), self._byte_order)
        except SpecError as error:
            return ExternAnswer(Status.MISSING, answer=text, reason=str(error))
        return ExternAnswer(Status.RESOLVED, answer=text, contents=contents)

    def _virtual(self, extern: Extern) -> ExternAnswer:
        """Names that the loader answers: they always resolve, to what is not always known here."""
        value = self._virtual_value(extern.name)
        if value is None:
            if extern.name in {"LINUX_KERNEL_VERSION", "LINUX_HAS_BPF_COOKIE", "LINUX_HAS_SYSCALL_WRAPPER"}:
                return ExternAnswer(Status.RESOLVED, answer="not known here")
            if extern.is_weak:
                return ExternAnswer(Status.ABSENT, Stage.NOTHING, "0", contents=bytes(extern.size))
            return ExternAnswer(Status.MISSING, reason="it is neither CONFIG_... nor a name that loaders know")
        try:
            contents = encode_option(extern, value, self._byte_order)
        except SpecError as error:
            return ExternAnswer(Status.MISSING, answer=str(value), reason=str(error))
        return ExternAnswer(Status.RESOLVED, answer=str(value), contents=contents)

    def _virtual_value(self, name: str) -> int | None:
        kernel = self._kernel
        if name == "LINUX_KERNEL_VERSION" and kernel.version is not None:
            major, minor, patch = kernel.version
            return major << 16 | minor << 8 | min(patch, 255)
        if name == "LINUX_HAS_BPF_COOKIE":
            helpers = kernel.enumerators("bpf_func_id")
            return None if helpers is None else int(_ATTACH_COOKIE in helpers)
        if name == "LINUX_HAS_SYSCALL_WRAPPER":
            if any(kernel.find(wrapper, Function) is not None for wrapper in _WRAPPERS):
                return 1
            if kernel.symbols is not None:
                return int(any(wrapper in kernel.symbols for wrapper in _WRAPPERS))
        return None


def frozen_memories(maps: Mapping[str, MapSpec]) -> dict[str, Memory]:
    """The maps whose contents are constants to the verifier, but for .kconfig: .rodata and its kin (5.5)."""
    memories = {}
    for name, spec in maps.items():
        if spec.is_frozen and spec.type == MapType.ARRAY and spec.max_entries == 1 and name != KCONFIG:
            contents = spec.contents.get(bytes(4), bytes(spec.value_size))
            if isinstance(contents, bytes):
                memories[name] = Memory(contents)
    return memories
