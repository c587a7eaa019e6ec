"""The committed inputs: what fuzzing found worth keeping (an archive a target), and what once went wrong (a file each).

An archive, since a corpus is hundreds of small files of which nobody reads one; cases are files, each with a name that
says what it did.
"""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

from tests.fuzz.target import HERE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CORPUS = HERE / "corpus"
CASES = HERE / "cases"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def corpus_of(name: str) -> list[bytes]:
    """The inputs of the committed corpus of a target."""
    path = CORPUS / f"{name}.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(each) for each in archive.namelist()]


def write_corpus(name: str, inputs: Iterable[bytes]) -> int:
    """Make *inputs* the committed corpus of a target; the bytes that it takes. The same inputs make the same file."""
    CORPUS.mkdir(exist_ok=True)
    path = CORPUS / f"{name}.zip"
    named = {hashlib.sha1(each).hexdigest()[:16]: each for each in inputs}
    if not named:
        path.unlink(missing_ok=True)
        return 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for each in sorted(named):
            archive.writestr(zipfile.ZipInfo(each, _EPOCH), named[each], zipfile.ZIP_LZMA)
    return path.stat().st_size


def cases_of(name: str) -> list[Path]:
    """The inputs that once went wrong for a target."""
    folder = CASES / name
    return sorted(folder.iterdir()) if folder.is_dir() else []
