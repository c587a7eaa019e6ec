"""One tree for everything that can go wrong.

Every error is a `BpfError`. One that stands for a failed system call is also an `OSError` with its errno, so that
``except OSError`` and ``except PermissionError`` keep meaning what they mean in Python. A message names the thing
(section, program, map, instruction), the cause and, where there is one, the way out.
"""

from __future__ import annotations

import errno as _errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiobpf.verifier import Origin, Refusal, RegisterState, Statistics, Step


class BpfError(Exception):
    """The root of aiobpf's errors. They can be copied and pickled, and so come out of a process pool."""

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are made anew by calling their class with args, which here is the message and not what made it.
        return _made_again, (type(self), self.args), self._state()

    def _state(self) -> dict[str, object]:
        return self.__dict__


def _made_again(kind: type[BpfError], args: tuple[object, ...]) -> BpfError:
    error = kind.__new__(kind, *args)
    if isinstance(error, OSError):
        OSError.__init__(error, *args)  # errno and strerror
    else:
        BaseException.__init__(error, *args)
    return error


class ClosedError(BpfError):
    """A map, program, link, stream or collection was used after it was closed or handed out."""


class StreamBusyError(BpfError, RuntimeError):
    """Two tasks read one stream at once: each would get an arbitrary part of the events."""


class LeaseError(BpfError):
    """A batch was used after its lease; or arrays of batches before it hold too much of the ring buffer."""


# --- bytes that are not what they claim to be -------------------------------------------------------------------------


class AsmError(BpfError, ValueError):
    """Bytes that are no BPF instruction, or an instruction that cannot be encoded."""


class BtfError(BpfError, ValueError):
    """BTF or .BTF.ext that breaks the format, or a type that is not there."""


class ElfError(BpfError, ValueError):
    """An object file that is no BPF object, or breaks the rules of one."""


class SpecError(BpfError, ValueError):
    """A specification that contradicts itself, or names something it does not have."""


class CodecError(BpfError, ValueError):
    """A value that does not fit its BTF type, or bytes that do not hold one."""


class CompilerError(BpfError):
    """No compiler for BPF was found, or it refused the source."""


# --- a program that does not fit the kernel at hand -------------------------------------------------------------------


class CoreRelocationError(BpfError):
    """A CO-RE relocation has no answer in the target's BTF, or several that disagree."""


class UnresolvedSymbolError(BpfError):
    """A function, map, kfunc, ksym or kconfig option that a program needs is nowhere to be found.

    *symbol* is its name, *source* the source line that first asks for it, where that is known.
    """

    source: str | None = None

    def __init__(self, message: str, symbol: str) -> None:
        super().__init__(message)
        self.symbol = symbol

    def asked_for_at(self, source: str | None) -> None:
        """Add the source line that asks for it."""
        if source is not None and self.source is None:
            self.source = source
            self.args = (f"{self.args[0]}\n  {source}",)


class IncompatibleTypeError(UnresolvedSymbolError):
    """The kernel has a function or variable of that name, but of another type than the object declares.

    *expected* is the object's declaration and *found* the kernel's, both in C.
    """

    def __init__(self, message: str, symbol: str, *, expected: str, found: str) -> None:
        super().__init__(f"{message}\n  object: {expected}\n  kernel: {found}", symbol)
        self.expected = expected
        self.found = found


class NotSupportedError(BpfError):
    """The running kernel, its configuration or this machine cannot do that.

    *feature* names what is missing; *since* is the first kernel that has it ("5.8"), or None where no version decides.
    """

    def __init__(self, feature: str, since: str | None = None, hint: str | None = None) -> None:
        message = feature if since is None else f"{feature} needs Linux {since}"
        super().__init__(f"{message}. {hint}" if hint else message)
        self.feature = feature
        self.since = since


_ENOTSUPP = 524
"""The kernel's own errno (include/linux/errno.h), which is not meant for user space but gets there."""

# --- system calls that failed -----------------------------------------------------------------------------------------


class KernelError(BpfError, OSError):
    """A system call failed: *operation* on *subject* ("map 'events'"), with the errno that the kernel gave.

    Make one with `kernel_error`, which picks the class that the errno stands for.
    """

    def __init__(self, errno: int, operation: str, subject: str = "", hint: str | None = None) -> None:
        if errno == _ENOTSUPP:
            text = f"{operation}: Operation is not supported (ENOTSUPP)"
        else:
            text = f"{operation}: {os.strerror(errno)} ({_errno.errorcode.get(errno, errno)})"
        if subject:
            text = f"{subject}: {text}"
        if hint:
            text = f"{text}. {hint}"
        super().__init__(errno, text)
        self.operation = operation
        self.subject = subject
        self.hint = hint

    def __str__(self) -> str:
        return str(self.strerror)


class MissingPrivilegeError(KernelError, PermissionError):
    """EPERM or EACCES; *capability* names what is missing where it is known ("CAP_BPF")."""

    capability: str | None = None


class NoSuchObjectError(KernelError, FileNotFoundError):
    """ENOENT: no object of that id, no file of that name."""


class ObjectExistsError(KernelError, FileExistsError):
    """EEXIST: the name is taken, or the hook."""


class MapFullError(KernelError):
    """E2BIG or ENOSPC from a map update: it holds max_entries already."""


class VerifierError(KernelError):
    """The kernel refused a program.

    `str()` is short: the reason, the instruction, its source line, the registers that matter and where their values
    came from, what it means and what to change. ``f"{error:full}"`` and `explain()` tell the whole story.

    *reason* is the verifier's own sentence, or what was missing for a relocation or kernel function that the loader had
    to leave out. *cause* names the rule that was broken ("unchecked-null"; `aiobpf.verifier.CAUSES` has all),
    *explanation* says it in plain words and *hint* what to change; None where they are not known. *instruction* is the
    raw slot that the verifier stopped at, *disassembly* that instruction with its symbols, *function* the function
    around it, where that is not the program's own, *source* its source line ("exec.bpf.c:31  x = task->tgid;"); None
    if the log does not say. *log* is the verifier's whole log.
    """

    def __init__(
        self,
        errno: int,
        program: str,
        reason: str,
        *,
        log: str = "",
        instruction: int | None = None,
        disassembly: str | None = None,
        function: str | None = None,
        source: str | None = None,
        cause: str | None = None,
        explanation: str | None = None,
        hint: str | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        super().__init__(errno, "BPF_PROG_LOAD", f"program {program!r}", hint)
        text = f"program {program!r} was rejected: {reason}"
        if instruction is not None and not reason.endswith(f" insn {instruction}"):
            text += f" at instruction {instruction}"
        if function is not None:
            text += f", in {function}()"
        values = refusal.short_lines() if refusal is not None else ()
        self._summary = text
        self._advice = tuple(line for line in (explanation, hint) if line)
        for line in (source, disassembly and f"{instruction}: {disassembly}", *values, *self._advice):
            if line:
                text += f"\n  {line}"
        self.strerror = text
        self.args = (errno, text)
        self.program = program
        self.reason = reason
        self.log = log
        self.instruction = instruction
        self.disassembly = disassembly
        self.function = function
        self.source = source
        self.cause = cause
        self.explanation = explanation
        self._refusal = refusal

    def _state(self) -> dict[str, object]:
        return {**self.__dict__, "_refusal": None}  # refers to the program; what the log says is read again

    @property
    def log_lines(self) -> Sequence[str]:
        return self.log.splitlines()

    # --- the log as values, read when it is asked for -----------------------------------------------------------------

    @property
    def refusal(self) -> Refusal:
        """Everything that the log says, as values."""
        if self._refusal is None:
            from aiobpf.verifier import Refusal

            self._refusal = Refusal(self.log)
        return self._refusal

    @property
    def path(self) -> Sequence[Step]:
        """The steps from the first instruction to the one that failed, newest last: the way that the verifier took."""
        return self.refusal.path.steps

    @property
    def registers(self) -> Mapping[str, RegisterState]:
        """The registers and stack slots there by name ("R1", "fp-8"), as far as the log says them."""
        return self.refusal.registers

    @property
    def origins(self) -> Sequence[Origin]:
        """Where the registers that the reason is about got their values, newest event first."""
        return self.refusal.origins

    @property
    def statistics(self) -> Statistics | None:
        """What the walk took: instructions, states, time."""
        return self.refusal.statistics

    def explain(self, steps: int = 20) -> str:
        """The whole story: the last *steps* instructions between their source lines with what each changed, where the
        offending values came from, the registers there, and the kernel's own report (7.3)."""
        head = "\n  ".join((self._summary, *self._advice))
        story = self.refusal.explain(steps)
        return f"{head}\n\n{story}" if story else head

    def __format__(self, spec: str) -> str:
        """``full`` is `explain()`; everything else formats `str()`."""
        return self.explain() if spec == "full" else format(str(self), spec)


class MapKeyError(BpfError, KeyError):
    """The map has no such key."""

    def __init__(self, message: str, key: object) -> None:
        super().__init__(message)
        self.key = key

    def __str__(self) -> str:
        return str(self.args[0])


class MapIterationError(BpfError, RuntimeError):
    """A walk met more keys than the map has room for: they come and go, and the kernel begins anew each time."""


class MapKeyExistsError(KernelError, FileExistsError):
    """The map has this key already, and the update asked that it has not."""


_BY_ERRNO: dict[int, type[KernelError]] = {
    _errno.EPERM: MissingPrivilegeError,
    _errno.EACCES: MissingPrivilegeError,
    _errno.ENOENT: NoSuchObjectError,
    _errno.EEXIST: ObjectExistsError,
}


def kernel_error(errno: int, operation: str, subject: str = "", hint: str | None = None) -> KernelError:
    """The error for a failed system call; *errno* is positive."""
    return _BY_ERRNO.get(errno, KernelError)(errno, operation, subject, hint)
