"""One program before the verifier: quietly first, then with a log that grows until it fits."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, final

from attrs import evolve, frozen

from aiobpf import asm, kernel
from aiobpf.errors import KernelError, NotSupportedError, VerifierError, kernel_error
from aiobpf.kernel import Feature, Supported, features
from aiobpf.kernel.capabilities import TRAMPOLINE_ATTACH_TYPES
from aiobpf.kernel.first_kernels import PROGRAM_TYPES_SINCE, missing_attach_type
from aiobpf.spec.sections import parse_section
from aiobpf.uapi import AttachType, ProgramFlags, ProgramType

if TYPE_CHECKING:
    from aiobpf.kernel import OwnedFd
    from aiobpf.runtime.attach_target import AttachTarget
    from aiobpf.runtime.options import LogPolicy
    from aiobpf.spec import ProgramSpec

# What a kernel says to a field that it does not know, or to a value in it that it does not take.
_TOO_NEW = frozenset({errno.E2BIG, errno.EINVAL})
_FIRST_STEP = re.compile(r"^0: ", re.MULTILINE)
# What no log can say more about: the verifier was not reached.
_WITHOUT_LOG = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE})
_SMALLEST = 128  # older kernels refuse a log below that (kernel/bpf/verifier.c, until 5.16)
_GROWTH = 4
_SLACK = 4096
_MAX_INSTRUCTIONS = 1_000_000
_BRANCHES, _EVERY_STEP = 1, 2
"""Levels of the log."""


@final
@frozen
class Submission:
    """Everything that BPF_PROG_LOAD is told, and the program it was made from, for the words of a refusal."""

    spec: ProgramSpec
    instructions: asm.Instructions
    code: bytes
    policy: LogPolicy
    btf: OwnedFd | None = None
    func_info: bytes = b""
    line_info: bytes = b""
    fd_array: tuple[int, ...] = ()
    target: AttachTarget | None = None
    member: int | None = None
    """For struct_ops, the index of the member: the kernel takes it where others say how they attach."""
    token: int | None = None
    kernel_version: int = 0
    """LINUX_VERSION_CODE, which kprobe programs had to be made for before 5.0 (6c4fc209fcf9)."""
    has_name: bool = True
    has_attach_type: bool = True

    def load(self) -> tuple[OwnedFd, str]:
        """The program, and its log if one was asked for; VerifierError, MissingPrivilegeError, NotSupportedError.

        A program that loads costs one system call. Refused, it is tried again for the log: the errno of both tries is
        the verifier's, but for a log that cannot be had whole.
        """
        if self.policy.always:
            return self._without_what_is_missing()._load_with_log(None, self.policy.level)
        try:
            return self._attempt(None), ""
        except KernelError as quiet:
            if quiet.errno in _WITHOUT_LOG:
                raise
            if quiet.errno in _TOO_NEW and (less := self._without_what_is_missing()) != self:
                return less.load()
            try:
                return self._load_with_log(quiet, self.policy.level)
            except VerifierError as refusal:
                from aiobpf.verifier.path import shows_registers

                if self.policy.level != _BRANCHES or shows_registers(refusal.log):
                    raise
                return self._load_with_registers(quiet, refusal)

    def _without_what_is_missing(self) -> Submission:
        """This without what the kernel is too old for and a program can do without; asked only once it was refused."""
        wants_version = self.spec.type == ProgramType.KPROBE and kernel.kernel_release() < (5, 0)
        return evolve(
            self,
            kernel_version=kernel.kernel_version_code() if wants_version else 0,
            has_name=self.has_name and features.may_support(Feature.OBJECT_NAMES, self.token),
            has_attach_type=self.has_attach_type and features.may_support(Feature.EXPECTED_ATTACH_TYPE, self.token),
        )

    def _load_with_registers(self, quiet: KernelError, known: VerifierError) -> tuple[OwnedFd, str]:
        """Before 5.18 (2e5766483c8c) only level 2 shows the registers at each step: as much of it as there is room for,
        or what is known already."""
        try:
            return self._load_with_log(quiet, _EVERY_STEP)
        except VerifierError as refusal:
            if refusal.reason == known.reason:
                raise
        raise known

    def _load_with_log(self, quiet: KernelError | None, level: int) -> tuple[OwnedFd, str]:
        policy = self.policy
        limit = min(policy.max_size, kernel.LOG_MAX)
        size = min(max(policy.size, _SMALLEST), limit)
        text = ""
        while True:
            log = bytearray(size)
            try:
                fd = self._attempt(log, level)
            except KernelError as error:
                known, text = text, kernel.log_text(log)
                if not _is_cut(error, len(text), size):
                    if error.errno == errno.EINVAL and not text and known:
                        # Before 5.12 (6f8a57ccf851) no log may be over 16 MiB: it has to do with what there was.
                        return self._without_whole_log(quiet, known)
                    raise self._refused(error, text) from error
                if size >= limit:
                    return self._without_whole_log(quiet, text)
                needed = error.needed + _SLACK if isinstance(error, kernel.LogTooSmallError) and error.needed else 0
                size = min(needed if needed > size else size * _GROWTH, limit)
            else:
                return fd, kernel.log_text(log)

    def _without_whole_log(self, quiet: KernelError | None, text: str) -> tuple[OwnedFd, str]:
        """The program or its refusal, with as much of the log as there is."""
        if quiet is not None:
            raise self._refused(quiet, text, is_cut=True) from quiet
        try:
            return self._attempt(None), text
        except KernelError as error:
            raise self._refused(error, text, is_cut=True) from error

    def _attempt(self, log: bytearray | None, level: int = 0) -> OwnedFd:
        spec, target = self.spec, self.target
        return kernel.load_program(
            spec.type,
            self.code,
            spec.license,
            name=spec.name if self.has_name else "",
            subject=f"program {spec.name!r}",
            flags=spec.flags,
            expected_attach_type=self._expected_attach_type,
            attach_btf_id=0 if target is None else target.type_id,
            attach_btf=None if target is None else target.btf_fd,
            attach_program=None if target is None else target.program_fd,
            btf=self.btf,
            func_info=self.func_info if self.btf is not None else b"",
            line_info=self.line_info if self.btf is not None else b"",
            fd_array=self.fd_array,
            kernel_version=spec.kernel_version or self.kernel_version,
            ifindex=spec.ifindex,
            log=log,
            log_level=level,
            token=self.token,
        )

    @property
    def _expected_attach_type(self) -> int:
        if self.member is not None:
            return self.member
        if not self.has_attach_type:
            return 0
        if self.spec.attach_type is None and parse_section(self.spec.section).kind == "usdt":
            # One link for all places of a probe. The kernel binds a program to that kind of link when it is loaded.
            answer = features.kernel_features(self.token).probe(Feature.UPROBE_MULTI_PROCESS)
            return AttachType.TRACE_UPROBE_MULTI if answer == Supported() else 0
        return self.spec.attach_type or 0

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _refused(self, error: KernelError, log: str, *, is_cut: bool = False) -> Exception:
        """The error that says most of why the kernel refused."""
        if error.errno == errno.EINVAL:
            from aiobpf.runtime.newer_instructions import newer_instruction  # what a program that loads has no use for

            newer = newer_instruction(self.instructions, self.spec.name, self.token)
            if newer is not None:
                return newer
            # A kernel without the attach type looks at the program, if at all, as one for something else.
            attach_type = self.spec.attach_type
            if attach_type is not None and attach_type in TRAMPOLINE_ATTACH_TYPES and not _FIRST_STEP.search(log):
                missing = missing_attach_type(attach_type, f"program {self.spec.name!r}")
                if missing is not None:
                    return missing
        if not log:
            return self._refused_unread(error)
        from aiobpf.runtime.verifier import refused

        return refused(error.errno or 0, self.spec.name, self.instructions, log, is_cut=is_cut)

    def _refused_unread(self, error: KernelError) -> Exception:
        """Refused before the verifier wrote anything."""
        spec = self.spec
        hint = None
        if error.errno == errno.EINVAL:
            if not features.supports_program_type(spec.type):
                return NotSupportedError(
                    f"program type {spec.type.name} (program {spec.name!r})",
                    PROGRAM_TYPES_SINCE.get(spec.type),
                    hint="This kernel does not know the type, or was built without it",
                )
            if spec.flags & ProgramFlags.XDP_HAS_FRAGS and not _takes_flag(spec.type, ProgramFlags.XDP_HAS_FRAGS):
                return NotSupportedError(f"an XDP program that takes packets in fragments ({spec.name!r})", "5.18")
            if spec.attach_type and (missing := missing_attach_type(spec.attach_type, f"program {spec.name!r}")):
                return missing
            what = [spec.attach_type.name] if spec.attach_type else []
            what += [flag.name or "" for flag in ProgramFlags(spec.flags)]
            if unknown := int(spec.flags) & ~sum(ProgramFlags):
                hint = f"The kernel gives no reason: its flags have {unknown:#x}, which means nothing here"
            elif what:
                hint = f"The kernel gives no reason: it may be older than {' or '.join(what)}"
        elif error.errno == errno.E2BIG:
            slots = len(self.code) // 8
            if slots > _MAX_INSTRUCTIONS:
                hint = f"It has {slots} instructions, and {_MAX_INSTRUCTIONS} is the most"
            elif self.fd_array:
                return NotSupportedError(f"kernel functions of modules (program {spec.name!r})", "5.16")
            else:
                hint = f"It has {slots} instructions; without CAP_BPF 4096 is the most"
        if hint is None:
            return error
        return kernel_error(error.errno or 0, error.operation, error.subject, hint)


def _is_cut(error: KernelError, length: int, size: int) -> bool:
    """Whether the log was too small. Before 6.4 a failure to write it (EFAULT) may take the place of ENOSPC."""
    return error.errno == errno.ENOSPC or (error.errno == errno.EFAULT and length >= size - 1)


def _takes_flag(program_type: ProgramType, flag: ProgramFlags) -> bool:
    code = asm.Instructions([asm.mov(asm.R0, 0), asm.exit_()]).encode()
    try:
        kernel.load_program(program_type, code, flags=flag).close()
    except KernelError as error:
        return error.errno != errno.EINVAL
    return True
