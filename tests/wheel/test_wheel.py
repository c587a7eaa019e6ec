"""The distributions: what is in them, and that the wheel works where there is no compiler and no checkout.

`nox -s wheel` builds them and names their folder in AIOBPF_DIST; without that there is nothing to look at.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
DIST = os.environ.get("AIOBPF_DIST")

pytestmark = [
    pytest.mark.skipif(DIST is None, reason="no distributions were built: nox -s wheel"),
    pytest.mark.timeout(300),
]


def only(pattern: str) -> Path:
    (found,) = Path(DIST or "").resolve().glob(pattern)
    return found


def in_checkout(*patterns: str) -> set[str]:
    return {str(path.relative_to(REPOSITORY)) for pattern in patterns for path in REPOSITORY.glob(pattern)}


def interpreters() -> list[Path]:
    """The Pythons that run here, one of each minor version: those on the path, and pyenv's."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted(Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/3.*/bin"))
    found: dict[str, Path] = {}
    for path in [folder / f"python3.{minor}" for minor in range(11, 20) for folder in folders]:
        if path.name not in found and path.exists():
            ask = "import ensurepip, venv, sys; print(sys.implementation.name)"
            answer = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False)
            if answer.stdout == "cpython\n":
                found[path.name] = path
    return list(found.values())


def test_one_stable_abi_wheel_holds_what_a_program_needs() -> None:
    wheel = only("*.whl")
    assert "-cp311-abi3-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    needed = in_checkout("aiobpf/**/*.py", "aiobpf/**/*.pyi", "aiobpf/include/**/*.h", "aiobpf/programs/*.bpf.[co]")
    assert needed | {"aiobpf/py.typed", "aiobpf/_native/_lib.abi3.so", "aiobpf/_native/_objects.abi3.so"} <= names
    assert not [name for name in names if name.startswith("aiobpf/_native/") and name.endswith((".c", ".h"))]
    assert not [name for name in names if not name.startswith(("aiobpf/", "aiobpf-"))]


def test_the_sdist_holds_what_a_build_and_its_tests_need() -> None:
    with tarfile.open(only("*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = in_checkout("aiobpf/_native/**/*.h", "aiobpf/**/*.py", "tests/**/*.py", "tests/**/*.bpf.[co]")
    sources |= in_checkout("aiobpf/_native/**/*.c") - {"aiobpf/_native/_lib.c"}  # that one is generated
    assert sources | {"setup.py", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


@pytest.mark.parametrize("python", interpreters() if DIST else [], ids=lambda path: path.name)
def test_it_installs_and_runs(python: Path, tmp_path: Path) -> None:
    def run(*command: str | Path) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    run(python, "-m", "venv", "fresh")
    fresh = tmp_path / "fresh" / "bin"
    run(fresh / "python", "-m", "pip", "install", "-q", "--only-binary", ":all:", f"{only('*.whl')}[cli]")
    assert run(fresh / "aiobpf", "--version").startswith("aiobpf 0.")
    if os.geteuid() == 0:
        events = run(fresh / "aiobpf", "run", "--json", "--duration", "1").splitlines()
        assert all(json.loads(event)["map"] for event in events)
