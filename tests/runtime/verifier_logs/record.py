"""Write down what kernels say of the programs in tests/runtime/refused.py.

    python -m tests.runtime.verifier_logs.record           the running kernel's logs, to stdout
    python -m tests.runtime.verifier_logs.record 5.10 7.3  those of kernels in VMs, to VERSION.txt beside this file

Each log begins with a line ``=== name, level N``; what a kernel takes, or lacks the means for, is named on stderr.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aiobpf.errors import BpfError, VerifierError
from aiobpf.runtime import LoadOptions, LogPolicy
from aiobpf.runtime.program_load import load_alone
from tests.runtime.refused import PROGRAMS

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent.parent


def record() -> None:
    for program in PROGRAMS:
        for level in program.levels:
            try:
                load_alone(program.make(), LoadOptions(log=LogPolicy(level=level))).close()
            except VerifierError as error:
                print(f"=== {program.name}, level {level}\n{error.log.rstrip()}")
            except BpfError as error:
                print(f"{program.name}: {error}", file=sys.stderr)
            else:
                print(f"{program.name}: accepted", file=sys.stderr)


def record_in_vm(version: str) -> None:
    from tests.vm.debian_kernels import fetch

    guest = [sys.executable, "-m", "tests.vm.vmrun", str(fetch(version)), "--chdir", str(REPOSITORY), "--"]
    ended = subprocess.run(
        [*guest, sys.executable, "-m", "tests.runtime.verifier_logs.record"],
        check=True, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    (HERE / f"{version}.txt").write_text(ended.stdout)


if __name__ == "__main__":
    for version in sys.argv[1:]:
        record_in_vm(version)
    if not sys.argv[1:]:
        record()
