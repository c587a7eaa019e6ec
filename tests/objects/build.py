"""Rebuild the objects: ``build.py`` writes them, ``build.py --check`` compares them with those committed.

Those of the tests, those that come with the package, and those of the examples: each lies beside its source.

Each SOURCE.bpf.c becomes SOURCE.bpf.o, and SOURCE.eb.bpf.o for the sources that are of interest in the other byte
order. The committed ones were made by clang 19; another version makes other code, so `--check` compares what does not
depend on it: the symbols that the object defines and the sections that hold them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
FOLDERS = (HERE, HERE / "linking", REPOSITORY / "aiobpf" / "programs", REPOSITORY / "examples")
INCLUDE = REPOSITORY / "aiobpf" / "include"
SYSTEM_HEADERS = {"usdt_libbpf"}  # libbpf's and the C library's (Debian: libbpf-dev, libc6-dev)
WITHOUT_BTF = {"legacy_extra", "legacy_maps", "no_btf"}
BIG_ENDIAN = {
    "arena",
    "back",
    "core",
    "exec_monitor",
    "externs",
    "front",
    "globals",
    "guards",
    "legacy_maps",
    "map_kinds",
    "no_btf",
    "ring_events",
    "struct_ops",
    "subprograms",
}
CLANGS = ("clang-19", "clang")


def find_clang() -> str | None:
    """The compiler to use, None if there is none."""
    return next((path for name in CLANGS if (path := shutil.which(name))), None)


def name_of(source: Path) -> str:
    return source.name.removesuffix(".bpf.c")


def targets(source: Path) -> list[tuple[str, str]]:
    """(clang target, object file) of a source."""
    name = name_of(source)
    found = [("bpfel", f"{name}.bpf.o")]
    if name in BIG_ENDIAN:
        found.append(("bpfeb", f"{name}.eb.bpf.o"))
    return found


def sources() -> list[Path]:
    return [source for folder in FOLDERS for source in sorted(folder.glob("*.bpf.c"))]


def headers(source: Path) -> list[str]:
    """The compiler's options for where headers are."""
    if name_of(source) not in SYSTEM_HEADERS:
        return ["-nostdinc", "-I", str(INCLUDE)]
    machine = f"/usr/include/{sysconfig.get_config_var('MULTIARCH')}"
    return ["-ffile-prefix-map=/usr/include=include", "-idirafter", "/usr/include", "-idirafter", machine]


def compile_source(clang: str, source: Path, target: str, output: Path) -> None:
    """Compile one source; CalledProcessError if the compiler refuses."""
    debug = [] if name_of(source) in WITHOUT_BTF else ["-g"]
    subprocess.run(
        [
            clang, "-target", target, "-mcpu=v3", "-O2", *debug, "-Wall", "-Werror", *headers(source),
            "-D__TARGET_ARCH_x86", "-fdebug-compilation-dir=.", f"-ffile-prefix-map={INCLUDE}=include",
            "-c", source.name, "-o", str(output),
        ],
        check=True,
        cwd=source.parent,
    )  # fmt: skip
    # Debugging information is of no use to a loader, has paths in it, and is ten times the rest.
    strip = shutil.which("llvm-strip-19") or shutil.which("llvm-strip")
    if strip is not None and debug:
        subprocess.run([strip, "--strip-debug", str(output)], check=True)


def build(directory: Path | None = None) -> list[tuple[Path, Path]]:
    """Compile every source for its targets, in place or into *directory*; (made, where it belongs) of each object."""
    clang = find_clang()
    if clang is None:
        raise SystemExit("no clang: looked for " + ", ".join(CLANGS))
    made = []
    for source in sources():
        for target, file in targets(source):
            place = source.parent / file
            output = place if directory is None else directory / file
            compile_source(clang, source, target, output)
            made.append((output, place))
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
        for made, committed in build(Path(directory)):
            if not committed.exists():
                differences.append(f"{made.name} is not committed")
            elif committed.read_bytes() != made.read_bytes() and outline(committed) != outline(made):
                differences.append(f"{made.name} is not what its source makes")
    return differences


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        raise SystemExit("\n".join(check()))
    build()
