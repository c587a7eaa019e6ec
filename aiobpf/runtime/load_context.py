"""What one load shares among its programs: the kernel's types, the relocator, the BTF that it builds."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, final

from aiobpf import kernel
from aiobpf.asm import CallKind
from aiobpf.asm.older_helpers import OLDER_HELPERS
from aiobpf.btf import Btf, CoreRelocator
from aiobpf.errors import BtfError, NotSupportedError
from aiobpf.kernel import Feature, features
from aiobpf.kernel.btf import shared_btf_cache
from aiobpf.kernel.tokens import opened_token
from aiobpf.runtime.program_btf import ProgramBtf
from aiobpf.spec import ExternKind
from aiobpf.spec.kconfig import KCONFIG

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from aiobpf.asm import Instructions
    from aiobpf.btf import Type
    from aiobpf.kernel.btf import KernelBtfCache, KernelType
    from aiobpf.kernel.kallsyms import Kallsyms
    from aiobpf.runtime.options import LoadOptions
    from aiobpf.spec import Extern, MapSpec

_CALL = 0x85


@final
class LoadContext:
    """Made at the start of a load and closed at its end; everything in it is made when first asked for."""

    def __init__(self, options: LoadOptions, types: Btf | None) -> None:
        self.options = options
        self.btf = ProgramBtf(types)
        self.token: int | None = None
        """The descriptor of the BPF token that everything is loaded under."""
        self._stack = ExitStack()

    def __enter__(self) -> LoadContext:
        with self._stack:
            self.token = self._stack.enter_context(opened_token(self.options.token))
            if self.token is not None and not features.may_support(Feature.TOKEN):
                raise NotSupportedError("A BPF token", "6.9")
            kernel.raise_memlock_limit()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            self.btf.__exit__(kind, error, traceback)

    @cached_property
    def cache(self) -> KernelBtfCache:
        """The running kernel's types: the caller's cache, or the process's."""
        return self.options.btf_cache or shared_btf_cache()

    @property
    def vmlinux(self) -> Btf:
        """The running kernel's own types: attach targets and kfuncs have their ids in it, whatever CO-RE is done
        against. NotSupportedError where the kernel has none."""
        return self.cache.vmlinux()

    @cached_property
    def relocator(self) -> CoreRelocator:
        """CO-RE for all programs of the load, in order; one relocation's answer narrows the next one's candidates."""
        given = self.options.kernel_btf
        if given is None:
            try:
                return CoreRelocator(
                    [self.vmlinux],
                    more_targets=self.cache.modules,
                    byte_order=sys.byteorder,
                    local_type_id=self.btf.add_type,
                )
            except NotSupportedError as error:
                raise NotSupportedError(
                    error.feature, error.since, "Give the kernel's types as a file: load(..., kernel_btf='vmlinux.btf')"
                ) from error
        try:
            btf = given if isinstance(given, Btf) else Btf.from_file(given)
        except OSError as error:
            raise BtfError(f"kernel_btf: {error}") from error
        return CoreRelocator([btf], byte_order=sys.byteorder, local_type_id=self.btf.add_type)

    def kernel_types(self, name: str, kind: type[Type]) -> Iterator[KernelType]:
        """The running kernel's functions or variables of that name: those of vmlinux, then those of the modules."""
        return self.cache.find_all(name, kind)

    def kallsyms_address(self, name: str, *, is_weak: bool = False) -> int | None:
        """The address of a kernel symbol, or None where there is none.

        /proc/kallsyms is read once for the load. BpfError where the name is ambiguous, or addresses are hidden; a weak
        symbol that is hidden counts as one that is missing.
        """
        symbols = self._kallsyms
        if name not in symbols or (is_weak and not symbols.has_addresses):
            return None
        return symbols.address_of(name)

    @cached_property
    def _kallsyms(self) -> Kallsyms:
        from aiobpf.kernel.kallsyms import Kallsyms

        return Kallsyms.read()

    def replace_missing_helpers(self, instructions: Instructions) -> None:
        """Helpers that an old kernel lacks and an older one does as well: bpf_probe_read_kernel and its kin (5.5)."""
        calls = [
            (index, old)
            for index in instructions.find(_CALL, CallKind.HELPER)
            if (old := OLDER_HELPERS.get(instructions.fields(index)[4])) is not None
        ]
        if calls and not features.supports_probe_read_kernel():
            for index, old in calls:
                instructions.patch(index, constant=old)

    def contents(self, name: str, spec: MapSpec, externs: Iterable[Extern] = ()) -> Mapping[bytes, bytes | str]:
        """What the map *name* holds at first; that of .kconfig is asked of the running kernel."""
        if name != KCONFIG:
            return spec.contents
        from aiobpf.runtime.kconfig_values import kconfig_contents

        values = [extern for extern in externs if extern.kind is ExternKind.KCONFIG]
        return {bytes(4): kconfig_contents(spec.value_size, values, self.options.kconfig)}
