"""Write down what kernels say of the programs in tests/runtime/refused.py.

    python -m tests.runtime.verifier_logs.record           the running kernel's logs, to stdout
    python -m tests.runtime.verifier_logs.record 5.10 7.3  those of kernels in VMs, to VERSION.txt beside this file

Each log begins with a line ``=== name, level N``; what a kernel takes, or lacks the means for, is named on stderr.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from aiobpf.errors import BpfError, VerifierError
from aiobpf.runtime import LoadOptions, LogPolicy
from aiobpf.runtime.program_load import load_alone
from tests.runtime.refused import PROGRAMS, Refused

UNPRIVILEGED = Path("/proc/sys/kernel/unprivileged_bpf_disabled")
NOBODY = 65534
HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent.parent


def record() -> None:
    for program in PROGRAMS:
        for level in program.levels:
            if program.is_unprivileged:
                record_as_nobody(program, level)
            else:
                record_one(program, level)


def record_one(program: Refused, level: int) -> None:
    try:
        # All of the log, and of the one level: where level 1 shows no registers, the loader asks for more.
        load_alone(program.make(), LoadOptions(log=LogPolicy(level=level, always=True))).close()
    except VerifierError as error:
        print(f"=== {program.name}, level {level}\n{error.log.rstrip()}", flush=True)
    except BpfError as error:
        print(f"{program.name}: {error}", file=sys.stderr)
    else:
        print(f"{program.name}: accepted", file=sys.stderr)


def record_as_nobody(program: Refused, level: int) -> None:
    """As a user without privileges: in a VM, whose settings are nobody else's."""
    if "VMRUN_KERNEL" not in os.environ:
        return
    UNPRIVILEGED.write_text("0")
    if (child := os.fork()) == 0:
        os.setuid(NOBODY)
        record_one(program, level)
        os._exit(0)
    os.waitpid(child, 0)


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
