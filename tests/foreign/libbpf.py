"""libbpf as the tests ask it: open an object, load it, and name what it found. By ctypes, from libbpf.so.1."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from typing import TYPE_CHECKING, final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Pointer = ctypes.c_void_p


class OpenOptions(ctypes.Structure):
    """The beginning of struct bpf_object_open_opts (libbpf.h, 1.0); *size* says that it ends here."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("object_name", ctypes.c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", ctypes.c_char_p),
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """libbpf, told to keep quiet; None where it is not installed."""
    try:
        libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError:
        return None
    libbpf.libbpf_set_print(None)
    for name, result, arguments in (
        ("bpf_object__open_file", Pointer, (ctypes.c_char_p, ctypes.POINTER(OpenOptions))),
        ("bpf_object__load", ctypes.c_int, (Pointer,)),
        ("bpf_object__close", None, (Pointer,)),
        ("bpf_object__next_program", Pointer, (Pointer, Pointer)),
        ("bpf_object__next_map", Pointer, (Pointer, Pointer)),
        ("bpf_program__name", ctypes.c_char_p, (Pointer,)),
        ("bpf_program__fd", ctypes.c_int, (Pointer,)),
        ("bpf_program__autoload", ctypes.c_bool, (Pointer,)),
        ("bpf_program__set_autoload", ctypes.c_int, (Pointer, ctypes.c_bool)),
        ("bpf_map__name", ctypes.c_char_p, (Pointer,)),
    ):
        function = getattr(libbpf, name)
        function.restype, function.argtypes = result, arguments
    return libbpf


class LibbpfError(OSError):
    """libbpf would not open or load the object."""


@final
@frozen
class LibbpfObject:
    """One object, open in libbpf."""

    _libbpf: ctypes.CDLL
    _object: int = field(repr=False)

    def load(self, only: Callable[[str], bool] | None = None) -> None:
        """Load every program that loads by itself; with *only*, those of them whose name it accepts."""
        for name, program in self._programs():
            if only is not None and not only(name):
                self._libbpf.bpf_program__set_autoload(program, False)
        error = self._libbpf.bpf_object__load(self._object)
        if error:
            raise LibbpfError(-error, os.strerror(-error), "bpf_object__load")

    def programs(self) -> dict[str, bool]:
        """Each program's name, in libbpf's order, and whether it loads by itself."""
        return {name: self._libbpf.bpf_program__autoload(program) for name, program in self._programs()}

    def program_fds(self) -> dict[str, int]:
        """The loaded programs, by name; the fds stay libbpf's."""
        fds = {name: self._libbpf.bpf_program__fd(program) for name, program in self._programs()}
        return {name: fd for name, fd in fds.items() if fd >= 0}

    def maps(self) -> list[str]:
        """Each map's name. One made of a section has libbpf's prefix, eight letters of the object's name."""
        found: list[str] = []
        each = self._libbpf.bpf_object__next_map(self._object, None)
        while each:
            found.append(self._libbpf.bpf_map__name(each).decode())
            each = self._libbpf.bpf_object__next_map(self._object, each)
        return found

    def _programs(self) -> Iterator[tuple[str, int]]:
        each = self._libbpf.bpf_object__next_program(self._object, None)
        while each:
            yield self._libbpf.bpf_program__name(each).decode(), each
            each = self._libbpf.bpf_object__next_program(self._object, each)


@contextlib.contextmanager
def opened(path: Path, name: str, pin_root: Path) -> Iterator[LibbpfObject]:
    """The object at *path*, called *name* (the prefix of its section maps); maps are pinned below *pin_root*."""
    libbpf = library()
    assert libbpf is not None
    options = OpenOptions(ctypes.sizeof(OpenOptions), name.encode(), False, os.fsencode(pin_root))
    made = libbpf.bpf_object__open_file(os.fsencode(path), ctypes.byref(options))
    if not made:
        raise LibbpfError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "bpf_object__open_file")
    try:
        yield LibbpfObject(libbpf, made)
    finally:
        libbpf.bpf_object__close(made)
