"""What the walk says is reached, beside what the verifier of the kernel that runs gets to.

Objects are relocated by the BTFs of other kernels (``kernel_btf=``), so that the code which these lack is poison here;
the verifier then says whether it gets there. Both must agree, program by program.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from aiobpf.collection.load import LoadPlan, load_collection
from aiobpf.compatibility import Need, Status, TargetKernel, check
from aiobpf.elf import read_spec
from aiobpf.errors import BpfError, VerifierError
from aiobpf.kernel.kallsyms import Kallsyms
from aiobpf.kernel.release import kernel_version
from aiobpf.runtime import LoadOptions
from tests.elf.conftest import embedded_object
from tests.kernel_probes import has_trampolines

from .conftest import KERNELS, OBJECTS, folders
from .kernels.reduce import OWN, TOOLS
from .loading import all_objects, companions, complete, needs_trampoline

if TYPE_CHECKING:
    from aiobpf.btf import Btf
    from aiobpf.spec import CollectionSpec

pytestmark = [pytest.mark.root, pytest.mark.slow]
POISON = "195896080"


def pairs() -> list[tuple[Path, Path]]:
    """(kernel, object): a reduced kernel has the types of some objects only."""
    known = [OBJECTS / f"{name}.bpf.o" for name in OWN] + [Path("/usr/sbin") / name for name in TOOLS]
    return [
        (kernel, path)
        for folder in folders()
        for kernel in sorted(folder.glob("*amd64.btf*"))
        for path in (known if folder == KERNELS else all_objects())
    ]


@pytest.fixture(scope="module")
def symbols() -> frozenset[str]:
    return Kallsyms.read().names()


@pytest.mark.parametrize(
    ("kernel_path", "path"), pairs(), ids=lambda path: path.name.partition("+")[0].removesuffix(".bpf.o")
)
def test_the_verifier_gets_to_poison_where_the_walk_does(
    kernel_path: Path, path: Path, symbols: frozenset[str], pins: str
) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not installed (Debian: libbpf-tools, xdp-tools)")
    spec = read_spec(path if path.suffix == ".o" else embedded_object(path))
    complete(spec)
    kernel = TargetKernel.from_files(kernel_path, symbols=symbols)
    kernel.version, kernel.modules = kernel_version(), {}
    differences = []
    for program in spec.programs.values():
        if (needs_trampoline(program) and not has_trampolines()) or program.type.name in {"STRUCT_OPS", "EXT"}:
            continue
        chosen = frozenset({program.name, *companions(program, spec)})
        expected = {
            finding.status
            for finding in check(spec, kernel, programs=chosen).kernels[0].findings
            if finding.need is Need.RELOCATION
        }
        error = refusal(spec, chosen, kernel.btf, pins)
        reached = isinstance(error, VerifierError) and POISON in error.log
        if Status.UNKNOWN in expected or (error is not None and not reached and Status.MISSING in expected):
            continue  # the verifier stopped for something else, or before
        if reached != (Status.MISSING in expected):
            differences.append(f"{program.name}: {sorted(each.value for each in expected)}, but {error or 'it loads'}")
    assert not differences


def refusal(spec: CollectionSpec, programs: frozenset[str], kernel: Btf, pins: str) -> BpfError | None:
    plan = LoadPlan(programs=programs, pin_path=pins, options=attrs.evolve(LoadOptions(), kernel_btf=kernel))
    try:
        loaded = load_collection(spec, plan)
    except BpfError as error:
        return error
    finally:
        for left in Path(pins).iterdir():
            left.unlink()
    loaded.close()
    return None
