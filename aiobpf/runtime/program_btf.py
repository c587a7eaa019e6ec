"""The BTF that goes into the kernel with a load: only what its maps and programs use.

An object's own BTF is never loaded whole. The types of map keys and values, of functions, and the text of source lines
are collected from the specs into one blob, once for the whole load, and every map and program refers to that.
"""

from __future__ import annotations

import errno
import sys
import warnings
from typing import TYPE_CHECKING, Protocol, final

from aiobpf import kernel
from aiobpf.asm import SYMBOL
from aiobpf.btf import (
    FUNCTION_INFO,
    BtfBuilder,
    BtfFeature,
    DataSection,
    Function,
    FunctionPrototype,
    Int,
    IntEncoding,
    Linkage,
    Void,
    encode_ext_infos,
    size_of,
)
from aiobpf.errors import BtfError, ClosedError, KernelError, MissingPrivilegeError, kernel_error
from aiobpf.kernel import features
from aiobpf.runtime.element import BTF_TYPES
from aiobpf.uapi import MapType

if TYPE_CHECKING:
    from types import TracebackType

    from aiobpf.asm import Instructions
    from aiobpf.btf import Btf, Type
    from aiobpf.kernel import OwnedFd
    from aiobpf.spec import MapSpec


class TypeIds(Protocol):
    """Where a map finds the ids of its types."""

    @property
    def fd(self) -> OwnedFd | None: ...
    @property
    def source(self) -> Btf | None: ...
    def map_ids(self, spec: MapSpec) -> tuple[int, int] | None: ...


@final
class ProgramBtf:
    """Collects, then loads once; owns the fd, which the kernel needs no longer than the load itself."""

    def __init__(self, source: Btf | None = None) -> None:
        self.source = source
        self.builder = BtfBuilder(sys.byteorder, source)
        self._ids: dict[tuple[Type | None, Type], tuple[int, int]] = {}  # not by name: inner maps may share one
        self._fd: OwnedFd | None = None
        self._is_loaded = False
        self._has_functions = True
        self._is_needed = False
        self._needed_by: MapSpec | None = None

    def __enter__(self) -> ProgramBtf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._fd is not None:
            self._fd.close()

    def add_map(self, spec: MapSpec) -> None:
        """Collect the types of *spec*'s elements, and of its inner map's."""
        if spec.inner is not None:
            self.add_map(spec.inner)
        if spec.type == MapType.STRUCT_OPS:
            # Its types are the kernel's; it is made with some BTF object of the caller's all the same.
            self._is_needed = True
            self._needed_by = spec
            return
        if spec.value is None or not _is_sized(spec.value, spec.value_size):
            return
        if spec.key is not None and not isinstance(spec.key, Void):
            if not _is_sized(spec.key, spec.key_size):
                return
            key = self.builder.add(spec.key)
        elif isinstance(spec.value, DataSection):
            key = 0  # void: an array of one element needs no key for its DATASEC (kernel/bpf/arraymap.c, 5.2)
        else:
            return
        self._ids[spec.key, spec.value] = key, self.builder.add(spec.value)
        self._is_needed = True
        if spec.type in BTF_TYPES:
            self._needed_by = spec

    def add_type(self, type_: Type) -> int:
        """The id that *type_* will have."""
        self._is_needed = True
        return self.builder.add(type_)

    def add_program(self, instructions: Instructions) -> tuple[bytes, bytes]:
        """The func_info and line_info of the final stream; empty where the program has no function types."""
        _complete_functions(instructions)
        func_info, line_info = encode_ext_infos(instructions, self.builder)
        if not func_info and sum(1 for _ in instructions.with_key(SYMBOL)) > 1:
            # Each subprogram needs a line of its own at its start once there is any ("missing bpf_line_info"), and
            # without function types none was made.
            line_info = b""
        if func_info or line_info:
            self._is_needed = True
        return func_info, line_info

    def load(self, token: int | None) -> None:
        """Load what was collected; a kernel without BTF (before 4.18) or without what it lacks gets less of it.

        A kernel that refuses it (a compiler's names that it thinks are none) gets none, with a warning: types and
        source lines are for people, but for the maps that do not work without.
        """
        self._is_loaded = True
        if not self._is_needed or not features.supports_btf(token):
            return
        if len(self.builder) <= 1:  # void is always there
            # Lines alone, for comments on a program by hand: the kernel takes no BTF without a type (EINVAL).
            self.builder.add(Int("int", 4, encoding=IntEncoding.SIGNED))
        missing = features.missing_btf_features(token)
        self._has_functions = BtfFeature.FUNC not in missing
        data = self.builder.encode(without=missing)
        try:
            self._fd = kernel.load_btf(data, token=token)
        except MissingPrivilegeError:
            raise
        except KernelError as error:
            explained = _explained(error, data, token)
            if self._needed_by is not None or error.errno not in _REFUSALS:
                raise explained from error
            warnings.warn(f"{explained}. They are loaded without types and source lines", RuntimeWarning, stacklevel=2)

    @property
    def fd(self) -> OwnedFd | None:
        """The loaded BTF, or None where nothing of it was needed or the kernel has none."""
        if not self._is_loaded:
            raise ClosedError("BTF is used before it is loaded")
        return self._fd

    @property
    def program_fd(self) -> OwnedFd | None:
        """`fd` for a program's function types and source lines: None also for a kernel that has no types of functions
        (before 5.0, 2667a2626f4d), whose records would refer to what stands for them."""
        return self.fd if self._has_functions else None

    def map_ids(self, spec: MapSpec) -> tuple[int, int] | None:
        """The type ids of key and value, or None where the map goes without."""
        if self._fd is None or spec.value is None or not _is_sized(spec.value, spec.value_size):
            return None
        return self._ids.get((spec.key, spec.value))


_REFUSALS = kernel.UNSUPPORTED_ERRNOS | {errno.E2BIG}


def _explained(error: KernelError, data: bytes, token: int | None) -> KernelError:
    """*error* with what the kernel's log says, which costs a second try."""
    log = bytearray(1 << 16)
    lines: list[str] = []
    try:
        kernel.load_btf(data, log=log, log_level=1, token=token).close()
    except KernelError:
        lines = kernel.log_text(log).strip().splitlines()
    return kernel_error(
        error.errno or 0, error.operation, "the BTF of the maps and programs", lines[-1] if lines else error.hint
    )


def _complete_functions(instructions: Instructions) -> None:
    """Give functions without a type the plainest one, where others have theirs.

    The kernel takes types for all functions of a program or for none (check_btf_func), and a function that was written
    by hand among compiled ones is no reason to lose what they say. A static function's type binds it to nothing: it is
    verified anew for each call.
    """
    typed = {index for index, _ in instructions.with_key(FUNCTION_INFO)}
    if not typed:
        return
    names = dict(instructions.with_key(SYMBOL))
    for index in {0, *names} - typed:
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in names.get(index, "main"))
        prototype = FunctionPrototype(Int("int", 4, encoding=IntEncoding.SIGNED), ())
        identifier = f"_{name}" if name[:1].isdigit() else name or "_"
        instructions.set_metadata(index, FUNCTION_INFO, Function(identifier, prototype, Linkage.STATIC))


def _is_sized(type_: Type, size: int) -> bool:
    try:
        return size_of(type_) == size
    except BtfError:
        return False
