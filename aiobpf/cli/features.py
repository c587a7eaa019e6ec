"""Show what the running kernel can do, found out by trying, and since which kernel there is what it lacks.

Program and map types, flags, places to attach to, links, instruction sets, BTF, and which helpers programs may call.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aiobpf.cli.commands import UsageError

if TYPE_CHECKING:
    import argparse

    from aiobpf.kernel.feature_report import FeatureReport

_NOBODY = 65534


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--helpers", action="append", default=[], metavar="TYPE",
        help="list the helpers that programs of this type may call (xdp, sched_cls ...)")  # fmt: skip
    add("--unprivileged", action="store_true",
        help="ask as an ordinary user: what the kernel lets those do who have no capability")  # fmt: skip
    add("--json", action="store_true", help="everything, as one JSON object")


def run(options: argparse.Namespace) -> int:
    import anyio

    from aiobpf.cli.commands import OK
    from aiobpf.cli.features_json import print_json
    from aiobpf.cli.features_text import print_report
    from aiobpf.uapi import ProgramType

    known = {kind.name.lower(): kind for kind in ProgramType if kind}
    unknown = [name for name in options.helpers if name.lower() not in known]
    if unknown:
        raise UsageError(f"there is no program type {unknown[0]!r}: {', '.join(known)}")
    report = anyio.run(_ask, options.unprivileged)
    if options.json:
        print_json(report)
    else:
        print_report(report, [known[name.lower()] for name in options.helpers])
    return OK


async def _ask(unprivileged: bool) -> FeatureReport:
    from aiobpf.kernel.feature_report import make_report
    from aiobpf.kernel.features import KernelFeatures

    report = await make_report(KernelFeatures())
    if not unprivileged or os.getuid() != 0:
        return report
    # The first round has imported all that is imported on the way: an ordinary user may not be able to read it.
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)  # of all threads; no capability is left
    return await make_report(KernelFeatures())
