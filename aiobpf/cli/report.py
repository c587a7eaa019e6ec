"""An error as the lines that a person reads: what, where, and the way out; never a traceback, unless asked for."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from aiobpf.cli.formats import printable
from aiobpf.errors import BpfError, VerifierError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_TAIL_LINES = 40


def report(error: BaseException, *, verbose: bool = False) -> None:
    """Print *error* to stderr; *verbose* tells the whole story of a refused program, and adds a traceback to an error
    of our own."""
    for leaf in leaves(error):
        for line in lines(leaf, verbose=verbose):
            print(printable(line), file=sys.stderr)  # it may quote the source that an object claims to have


def warn(message: str) -> None:
    print(f"aiobpf: warning: {printable(message)}", file=sys.stderr)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The single errors of a group, however deep; each once."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def lines(error: BaseException, *, verbose: bool) -> Iterator[str]:
    text = error.explain() if verbose and isinstance(error, VerifierError) else describe(error)
    first, *rest = text.splitlines() or [type(error).__name__]
    yield f"aiobpf: {first}"
    for line in rest:
        yield line if not line or line.startswith(" ") else f"  {line}"
    for note in getattr(error, "__notes__", ()):
        for line in note.splitlines():
            yield f"  {line}"
    if isinstance(error, VerifierError):
        yield from verifier_log(error, verbose=verbose)
    elif verbose and not isinstance(error, (BpfError, OSError)):
        yield from "".join(traceback.format_exception(error)).rstrip().splitlines()


def describe(error: BaseException) -> str:
    """What str() says, with what it leaves out: the file of an OSError first, the class of an error of our own."""
    if isinstance(error, BpfError):
        return str(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return f"{error.filename}: {reason}" if error.filename is not None else reason
    return f"internal error: {type(error).__name__}: {error}"


def verifier_log(error: VerifierError, *, verbose: bool) -> Iterator[str]:
    log = error.log_lines
    if not log:
        return
    if not verbose:
        yield f"  (--verbose tells the way there, and shows the end of the verifier's log, {len(log)} lines)"
        return
    tail = log[-LOG_TAIL_LINES:]
    yield ""
    yield f"  The verifier's log, its last {len(tail)} of {len(log)} lines:"
    for line in tail:
        yield f"  | {line}"
