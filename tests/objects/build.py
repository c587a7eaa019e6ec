"""Rebuild the test objects: ``build.py`` writes them, ``build.py --check`` compares them with those committed.

Each SOURCE.bpf.c becomes SOURCE.bpf.o, and SOURCE.eb.bpf.o for the sources that are of interest in the other byte
order. The committed ones were made by clang 19; another version makes other code, so `--check` compares what does not
depend on it: the symbols that the object defines and the sections that hold them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
INCLUDE = HERE.parent.parent / "aiobpf" / "include"
WITHOUT_BTF = {"legacy_maps", "no_btf"}
BIG_ENDIAN = {"core", "externs", "globals", "legacy_maps", "map_kinds", "no_btf", "ring_events", "subprograms"}
CLANGS = ("clang-19", "clang")


def find_clang() -> str | None:
    """The compiler to use, None if there is none."""
    return next((path for name in CLANGS if (path := shutil.which(name))), None)


def targets(name: str) -> list[tuple[str, str]]:
    """(clang target, object file) of a source."""
    found = [("bpfel", f"{name}.bpf.o")]
    if name in BIG_ENDIAN:
        found.append(("bpfeb", f"{name}.eb.bpf.o"))
    return found


def sources() -> list[str]:
    """The names of the sources, without their suffix."""
    return sorted(path.name.removesuffix(".bpf.c") for path in HERE.glob("*.bpf.c"))


def compile_source(clang: str, name: str, target: str, output: Path) -> None:
    """Compile one source; CalledProcessError if the compiler refuses."""
    debug = [] if name in WITHOUT_BTF else ["-g"]
    subprocess.run(
        [
            clang, "-target", target, "-mcpu=v3", "-O2", *debug, "-Wall", "-Werror", "-nostdinc", "-I", str(INCLUDE),
            "-D__TARGET_ARCH_x86", "-fdebug-compilation-dir=.", "-c", f"{name}.bpf.c", "-o", str(output),
        ],
        check=True,
        cwd=HERE,
    )  # fmt: skip
    # Debugging information is of no use to a loader, has paths in it, and is ten times the rest.
    strip = shutil.which("llvm-strip-19") or shutil.which("llvm-strip")
    if strip is not None and debug:
        subprocess.run([strip, "--strip-debug", str(output)], check=True)


def build(directory: Path) -> list[Path]:
    """Compile every source for its targets into *directory*."""
    clang = find_clang()
    if clang is None:
        raise SystemExit("no clang: looked for " + ", ".join(CLANGS))
    made = []
    for name in sources():
        for target, file in targets(name):
            compile_source(clang, name, target, directory / file)
            made.append(directory / file)
    return made


def outline(path: Path) -> list[tuple[str, str]]:
    """(section, symbol) of everything that the object defines."""
    from aiobpf.elf.file import ElfFile
    from aiobpf.elf.symbols import SymbolTable

    file = ElfFile(path.read_bytes())
    symbols = SymbolTable.of(file)
    return sorted(
        (section.name, symbol.name)
        for section in file.sections
        for symbol in symbols.in_section(section.index)
        if symbol.is_global
    )


def check() -> list[str]:
    """What differs between the committed objects and the sources, one line each."""
    differences = []
    with TemporaryDirectory() as directory:
        for made in build(Path(directory)):
            committed = HERE / made.name
            if not committed.exists():
                differences.append(f"{made.name} is not committed")
            elif committed.read_bytes() != made.read_bytes() and outline(committed) != outline(made):
                differences.append(f"{made.name} is not what its source makes")
    return differences


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        raise SystemExit("\n".join(check()))
    build(HERE)
