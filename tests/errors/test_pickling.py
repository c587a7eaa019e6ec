"""Errors leave a process pool, and a debugger's copy, as what they were."""

from __future__ import annotations

import copy
import errno
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiobpf import errors
from aiobpf.collection import UnknownNameError
from aiobpf.elf import read_spec
from aiobpf.errors import BpfError, KernelError, VerifierError, kernel_error
from aiobpf.verifier import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = Path(__file__).parent.parent / "objects"

LOG = (
    "0: (b7) r0 = 0\n1: (79) r1 = *(u64 *)(r0 +0)\nR0 invalid mem access 'scalar'\nprocessed 2 insns (limit 1000000)\n"
)

ERRORS: list[BpfError] = [
    *(kind("what is wrong") for kind in (errors.ElfError, errors.BtfError, errors.SpecError, errors.CodecError)),
    UnknownNameError("the collection has no map 'x'"),
    errors.UnresolvedSymbolError("kernel function 'f' is not there", "f"),
    errors.IncompatibleTypeError("kernel function 'f'", "f", expected="int f(int)", found="int f(void)"),
    errors.NotSupportedError("arenas", "6.9", "Use an array."),
    errors.MapKeyError("map 'm' has no key 5", 5),
    *(kernel_error(number, "BPF_MAP_CREATE", "map 'm'", "Try again.") for number in (1, 2, 7, 17, 22, 524)),
    VerifierError(errno.EACCES, "p", "R0 invalid mem access 'scalar'", log=LOG, instruction=1, refusal=Refusal(LOG)),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__}-{error.args[0]}")
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_is_copied_and_pickled_whole(error: BpfError, again: Callable[[BpfError], BpfError]) -> None:
    found = again(error)
    assert type(found) is type(error)
    assert (str(found), found.args) == (str(error), error.args)
    assert found.__dict__.keys() == error.__dict__.keys()
    for name in (
        "errno",
        "strerror",
        "operation",
        "subject",
        "hint",
        "since",
        "symbol",
        "expected",
        "key",
        "capability",
    ):
        assert getattr(found, name, None) == getattr(error, name, None)
    if isinstance(error, VerifierError):
        assert isinstance(found, VerifierError)
        assert found.registers.keys() == error.registers.keys() != set()
        assert f"{found:full}" == f"{error:full}"
    if isinstance(error, KernelError):
        assert isinstance(found, OSError)


def test_a_spec_says_that_it_is_read_again_and_not_pickled() -> None:
    spec = read_spec(OBJECTS / "globals.bpf.o")
    with pytest.raises(TypeError, match="pass the bytes of the file on"):
        pickle.dumps(spec)
    assert copy.deepcopy(spec) == spec
