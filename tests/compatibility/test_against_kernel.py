"""The verdict beside the truth: each program is loaded into the kernel that runs, one by one.

What loads must not be called refused, and what is refused for lack of something must not be called loadable. The
verifier's own rules (a pointer that was not compared with NULL) are no matter of compatibility: only what it says of
things that are not there counts.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.compatibility import TargetKernel, Verdict, check
from aiobpf.elf import read_spec
from aiobpf.errors import BpfError, NotSupportedError, VerifierError
from aiobpf.kernel.kallsyms import Kallsyms
from aiobpf.kernel.kconfig import kernel_config
from aiobpf.kernel.release import kernel_version
from aiobpf.spec.struct_ops_plan import StructOpsPlan
from aiobpf.uapi import ProgramType
from tests.elf.conftest import embedded_object
from tests.kernel_probes import has_trampolines

from .loading import all_objects, companions, complete, needs_trampoline

pytestmark = pytest.mark.root

LACKING = re.compile(
    r"invalid func|invalid kernel function|attach_btf_id|reserved fields"
    r"|unknown opcode|unrecognized bpf_ld_imm64|failed to find the address"
)
"""What the verifier says of things that a kernel does not have. Not: which program types may call
a function that it has ("unknown func bpf_copy_from_user#148", "calling kernel function ...")."""


def breaks_a_rule(error: BpfError | None) -> bool:
    """Whether the verifier judged the program itself: a pointer that is not compared with NULL, a loop without end."""
    return isinstance(error, VerifierError) and bool(error.log) and LACKING.search(error.log) is None


@pytest.fixture(scope="module")
def running() -> TargetKernel:
    """The kernel that runs, as a target: all that its files tell."""
    folder = Path("/sys/kernel/btf")
    try:
        config = kernel_config()
    except NotSupportedError:
        config = None
    kernel = TargetKernel.from_files(folder, config=config, symbols=Kallsyms.read().names())
    kernel.version = kernel_version()
    return kernel


@pytest.mark.parametrize("path", all_objects(), ids=lambda path: path.name.removesuffix(".bpf.o"))
def test_what_loads_is_not_refused_and_what_is_missing_does_not_load(
    path: Path, running: TargetKernel, pins: str
) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not installed (Debian: libbpf-tools, xdp-tools)")
    spec = read_spec(path if path.suffix == ".o" else embedded_object(path))
    complete(spec)
    differences = []
    for program in spec.programs.values():
        if needs_trampoline(program) and not has_trampolines():
            continue  # this machine's kernel refuses them, whatever they say
        if program.type == ProgramType.STRUCT_OPS and program.name not in StructOpsPlan.of(spec, None).members:
            continue  # no map refers to it: there is nothing to verify it for
        chosen = frozenset({program.name, *companions(program, spec)})
        (report,) = check(spec, running, programs=chosen).kernels
        error: BpfError | None = None
        try:
            load_collection(spec, LoadPlan(programs=chosen, pin_path=pins)).close()
        except BpfError as found:
            error = found
        for left in os.listdir(pins):
            os.unlink(os.path.join(pins, left))
        if breaks_a_rule(error):
            continue
        if (error is None) != (report.verdict is Verdict.LOADS) and report.verdict is not Verdict.UNKNOWN:
            differences.append(f"{program.name}: {report.verdict.value}, but {error or 'it loads'}")
    assert not differences
