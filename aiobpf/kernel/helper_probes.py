"""May a program of that type call that function of the kernel? The verifier looks at that before the arguments."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from aiobpf.btf import Function
from aiobpf.kernel.btf import shared_btf_cache
from aiobpf.kernel.feature_probes import calling, calling_kfunc
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from aiobpf.kernel.program_ways import ProgramWays

_NO_SUCH_HELPER = "invalid func "
_HELPER_REFUSALS = (
    _NO_SUCH_HELPER,
    "unknown func ",  # not for this type of program
    "cannot use helper ",  # the same in newer kernels' words (6.12)
)
_KFUNC_REFUSALS = (
    "is not allowed",  # "calling kernel function bpf_x is not allowed"
    "uses reserved fields",  # before 5.13
    "does not support calling kernel function",  # this machine's JIT
    "is not a kernel function",
)
_ONLY_FOR_XDP = "require device-bound program"


class HelperAnswer(Enum):
    """What the verifier says to the call of a helper."""

    YES = auto()
    NOT_FOR_THE_TYPE = auto()
    NO_SUCH_HELPER = auto()


def ask_for_helper(ways: ProgramWays, helper: int) -> HelperAnswer:
    """Whether the verifier lets programs of that type call the helper, in some way of attaching them at least.

    Wrong arguments mean that it may. KernelError where the kernel says nothing at all.
    """
    found = HelperAnswer.NO_SUCH_HELPER
    for said in ways.answers(calling(helper)):
        if said is None or not _has(said, _HELPER_REFUSALS):
            return HelperAnswer.YES
        if _NO_SUCH_HELPER not in said:
            found = HelperAnswer.NOT_FOR_THE_TYPE
    return found


def may_call_kfunc(ways: ProgramWays, name: str) -> bool:
    """Whether programs of that type may call the kernel's, or a module's, function *name*."""
    for found in shared_btf_cache().find_all(name, Function):
        module = found.btf_fd
        fds = () if module is None else (0, module)
        code = calling_kfunc(found.type_id, len(fds) // 2)
        refusals = _KFUNC_REFUSALS if ways.program_type == ProgramType.XDP else (*_KFUNC_REFUSALS, _ONLY_FOR_XDP)
        if any(said is None or not _has(said, refusals) for said in ways.answers(code, fds)):
            return True
    return False


def _has(said: str, refusals: tuple[str, ...]) -> bool:
    return any(refusal in said for refusal in refusals)
