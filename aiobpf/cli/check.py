"""Say whether an object file would load on kernels that are not running, from their BTF alone.

For each kernel: which CO-RE relocations, kernel functions and symbols, configuration values, attach targets, program,
map and attach types and helpers there are. Exit status 1 if it would not load on one of them. It asks nothing of the
kernel that runs, and needs no privilege.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from aiobpf.cli.run import setting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aiobpf.compatibility import TargetKernel
    from aiobpf.spec import CollectionSpec


class KernelChoice:
    """--btf and the options after it."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = files
        self.config: str | None = None
        self.kallsyms: str | None = None


class _AddKernels(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        namespace.btf = [*namespace.btf, *(KernelChoice(value.split(",")) for value in values)]


class _OfLastKernel(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        if not namespace.btf:
            parser.error(f"--{self.dest} is about the kernel of the --btf before it, and there is none")
        setattr(namespace.btf[-1], self.dest, values)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="OBJECT|SOURCE.c", help="what would be loaded")
    add("--btf", nargs="+", action=_AddKernels, default=[], required=True, metavar="FILE[,MODULE...]",
        help="a kernel's BTF (raw or vmlinux, .xz and .gz too), with that of its modules after commas, or a folder of "
        "both like /sys/kernel/btf")  # fmt: skip
    add("--config", action=_OfLastKernel, metavar="FILE", help="the configuration of that kernel (.config, config.gz)")
    add("--kallsyms", action=_OfLastKernel, metavar="FILE", help="its symbols (/proc/kallsyms, System.map)")
    add("--program", action="append", default=[], metavar="NAME", help="check this program only; repeatable")
    add("--set", type=setting, action="append", default=[], metavar="VARIABLE=VALUE",
        help="give a global variable its value first: constants decide which code is reached; repeatable")  # fmt: skip
    add("--strict", action="store_true", help="exit status 1 too if it is not known whether it would load")
    add("--all", action="store_true", help="show what every kernel has as well")
    add("--json", action="store_true", help="everything that was found, as one JSON object")


def run(options: argparse.Namespace) -> int:
    from aiobpf.cli.check_report import print_report, report_json
    from aiobpf.cli.commands import FAILED, OK
    from aiobpf.compatibility import Verdict, check

    spec = _read(options)
    kernels = [_kernel(choice) for choice in options.btf]
    report = check(spec, kernels, programs=tuple(options.program) or None)
    if options.json:
        print(report_json(options.source, report))
    else:
        print_report(options.source, report, show_all=options.all)
    fails = {Verdict.REFUSED, Verdict.UNKNOWN} if options.strict else {Verdict.REFUSED}
    return FAILED if report.verdict in fails else OK


def _read(options: argparse.Namespace) -> CollectionSpec:
    from aiobpf.cli.choices import choose_programs
    from aiobpf.cli.settings import apply_settings
    from aiobpf.cli.source import read_source

    spec = read_source(options.source)
    choose_programs(spec, options.program)
    apply_settings(spec, options.set)
    return spec


def _kernel(choice: KernelChoice) -> TargetKernel:
    from pathlib import Path

    from aiobpf.compatibility import TargetKernel
    from aiobpf.kernel.kallsyms import Kallsyms

    kernel = TargetKernel.from_files(*choice.files)
    if choice.config is not None:
        _configure(kernel, Path(choice.config))
    if choice.kallsyms is not None:
        kernel.symbols = Kallsyms.read(Path(choice.kallsyms)).names()
    return kernel


def _configure(kernel: TargetKernel, path: Path) -> None:
    from aiobpf.btf.compressed import decompressed
    from aiobpf.compatibility.kernel import version_in
    from aiobpf.errors import BtfError, SpecError
    from aiobpf.kernel.kconfig import parse_kernel_config

    try:
        data = decompressed(path.read_bytes())
    except BtfError as error:
        raise BtfError(f"{path}: {error}") from None
    kernel.config = parse_kernel_config(data)
    if not kernel.config:
        raise SpecError(f"{path}: it sets no CONFIG_ option: is it a kernel's configuration?")
    # "# Linux/x86 6.1.170 Kernel Configuration" is exact, where a distribution's release may say 6.1.0.
    header = re.search(rb"^# Linux/\S+ (\S+) Kernel Configuration", data[:4096], re.MULTILINE)
    if header is not None:
        kernel.version = version_in(header[1].decode(errors="replace")) or kernel.version
