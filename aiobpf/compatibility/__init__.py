"""Would an object load on kernels that are not running? Their BTF in, a report out; no privilege, no system call.

``aiobpf.check("exec.bpf.o", TargetKernel.from_files("5.10.btf")).verdict``
"""

from aiobpf.compatibility.check import check
from aiobpf.compatibility.kernel import TargetKernel
from aiobpf.compatibility.report import Finding, KernelReport, Need, Report, Stage, Status, Verdict

__all__ = ["Finding", "KernelReport", "Need", "Report", "Stage", "Status", "TargetKernel", "Verdict", "check"]
