"""Targets that take code and texts: the disassembler, and what the kernel and its configuration say."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aiobpf.asm import Instructions
from aiobpf.btf import Array, Enum, Enumerator, Int, IntEncoding
from aiobpf.cli.declaration import parse_struct
from aiobpf.elf.file import ElfFile
from aiobpf.errors import AsmError, BpfError, BtfError, ElfError, NotSupportedError, SpecError
from aiobpf.kernel.cpus import parse_cpu_list
from aiobpf.kernel.kallsyms import Kallsyms
from aiobpf.kernel.kconfig import parse_kernel_config
from aiobpf.kernel.release import parse_kernel_version
from aiobpf.link.ld_cache import parse_ld_cache, pick_library
from aiobpf.spec import Extern, ExternKind
from aiobpf.spec.kconfig import encode_option, parse_option
from aiobpf.spec.sections import parse_section
from aiobpf.symbols.elf_image import ElfImage
from aiobpf.symbols.mappings import parse_mappings
from aiobpf.verifier import Refusal
from tests.fuzz.mutate_bytes import mutate_bytes, mutate_text
from tests.fuzz.mutate_code import mutate_code
from tests.fuzz.mutate_elf import mutate_elf
from tests.fuzz.target import HERE, Target, join_parts, mutate_parts, object_files, split_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobpf.asm.wire import ByteOrder

_CHAR = Int("char", 1, encoding=IntEncoding.SIGNED)
_U32 = Int("unsigned int", 4)
_KCONFIG_TYPES = (
    (_U32, 4), (Int("long long", 8, encoding=IntEncoding.SIGNED), 8), (Int("_Bool", 1, encoding=IntEncoding.BOOL), 1),
    (_CHAR, 1), (Enum("libbpf_tristate", enumerators=[Enumerator("TRI_NO", 0), Enumerator("TRI_YES", 1)]), 4),
    (Array(_CHAR, _U32, 8), 8), (None, 4),
)  # fmt: skip


def _code_seeds() -> Iterable[bytes]:
    for data in object_files():
        file = ElfFile(data)
        for section in file.sections:
            if section.is_code:
                code = bytes(file.data(section))
                yield join_parts([code, bytes([file.byte_order == "big"])])


def disassemble(data: bytes) -> None:
    """Code to text, and to the same bytes again: as a whole, and instruction by instruction."""
    raw, which = split_parts(data, 2)
    order: ByteOrder = "big" if which == b"\1" else "little"
    code = Instructions.decode(raw, order)
    assert code.encode(order) == raw
    lines = code.format().splitlines()
    assert len(lines) == len(code)
    for index, instruction in enumerate(code):
        str(instruction)
        repr(instruction)
        hash(instruction)
        with suppress(AsmError):  # a jump out of the program
            code.target_of(index)
    again = Instructions(code)
    assert again == code
    assert again.encode(order) == raw
    other = code.copy()
    del other[: len(other) // 2]
    (other + code).tag()


def _kconfig_seeds() -> Iterable[bytes]:
    yield b'CONFIG_HZ=1000\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D="text \\" here"\nCONFIG_E=0xff\n'
    yield b'CONFIG_D="\nCONFIG_E=-5\nCONFIG_F=\nCONFIG_=n'


def read_kconfig(data: bytes) -> None:
    """A kernel's configuration, and each value in externs of every type."""
    options = parse_kernel_config(data)
    for name, text in list(options.items())[:32]:
        for type_, size in _KCONFIG_TYPES:
            extern = Extern(name, ExternKind.KCONFIG, is_weak=False, type=type_, size=size)
            try:
                assert len(encode_option(extern, parse_option(name, text), "little")) == size
            except SpecError as error:
                assert "CONFIG_" in str(error)


def _log_seeds() -> Iterable[bytes]:
    for path in sorted((HERE.parent / "runtime" / "verifier_logs").iterdir()):
        text = path.read_bytes()
        for start in range(0, min(len(text), 32_000), 4000):
            yield text[start : start + 4000]


def read_verifier_log(data: bytes) -> None:
    """A log to all that is said of it: the reason, the path, registers, and where their values came from."""
    refusal = Refusal(data.decode(errors="replace"), is_cut=len(data) % 2 == 1)
    repr(refusal.verdict)
    assert isinstance(refusal.explain(), str)
    refusal.short_lines()
    repr(refusal.path)


def _symbol_seeds() -> Iterable[bytes]:
    yield (
        b"ffffffff81000000 T _stext\nffffffff81000010 t vfs_read\nffffffffc0001000 t veth_xmit\t[veth]\n"
        b"0000000000000000 A x\nffffffff82000000 D init_task\n"
    )


def read_kallsyms(data: bytes) -> None:
    symbols = Kallsyms(data)
    symbols.has_addresses
    for name in [*symbols.function_names(), "vfs_read"][:64]:
        for found in symbols.lookup(name):
            symbols.at(found.address)
        try:
            symbols.address_of(name)
        except BpfError as error:
            assert repr(name) in str(error)


def _section_seeds() -> Iterable[bytes]:
    yield b"kprobe/vfs_read\nuprobe//bin/bash:readline\n?xdp\ntc/ingress\nfentry.s/x\nclassifier/red\nlsm_cgroup/a"


def read_names(data: bytes) -> None:
    """Names of sections, lists of CPUs and versions: what is a line of text in an object or in /proc."""
    for line in data.decode(errors="backslashreplace").split("\n")[:64]:
        repr(parse_section(line))
        parse_kernel_version(line, line, line)
        try:
            parse_cpu_list(line)
        except BpfError as error:
            assert "CPUs" in str(error)


def _declaration_seeds() -> Iterable[bytes]:
    yield b"struct event {\n__u64 ts;\npid_t pid;\nint ret;\nchar comm[16];\n}"
    yield b"unsigned long a, *b, c[4][2];\nconst void *d;\nuint64_t e;\nargs f[02]"


def read_declaration(data: bytes) -> None:
    def lookup(name: str) -> Int:
        if len(name) > 4:
            raise SpecError(f"no type {name!r}")
        return _U32

    repr(parse_struct(data.decode(errors="replace"), lookup))


def _cache_seeds() -> Iterable[bytes]:
    path = Path("/etc/ld.so.cache")
    head = b"glibc-ld.so.cache1.1" + (2).to_bytes(4, "little") + bytes(24)
    rows = b"".join(each.to_bytes(4, "little") for each in (0x303, 96, 106, 0, 0, 0, 0x303, 96, 106, 0, 0, 0))
    yield head + rows + b"libc.so.6\0/lib/libc.so.6\0"
    if path.exists():
        start = path.read_bytes()[:4000]
        count = (len(start) - 48) // 24  # of entries; their names lie behind, and are gone
        yield start[:20] + count.to_bytes(4, "little") + start[24:]


def read_cache(data: bytes) -> None:
    pick_library(parse_ld_cache(data), "libc", None)


def _mapping_seeds() -> Iterable[bytes]:
    yield (
        b"7f0000000000-7f0000001000 r-xp 00002000 fd:01 1234    /usr/lib/libc.so.6\n"
        b"7f0000001000-7f0000002000 r-xp 00000000 00:00 9 /tmp/a\\012b (deleted)\n7ffc0-7ffd0 rw-p 0 00:00 0 [stack]\n"
    )


def read_mappings(data: bytes) -> None:
    for mapping in parse_mappings(data.decode("utf-8", "surrogateescape")):
        assert mapping.path.startswith("/")


def read_binary(data: bytes) -> None:
    """An executable or library, as a uprobe sees it."""
    image = ElfImage(io.BytesIO(data), "binary 'x'")
    for table, _ in image.symbol_tables():
        for symbol in image.symbols(table):
            image.file_offset(symbol.value)


def _binary_seeds() -> Iterable[bytes]:
    for data in object_files()[:4]:
        yield data[:16] + (b"\3\0" if data[5] == 1 else b"\0\3") + data[18:]


_KCONFIG_WORDS = (
    "CONFIG_A=y", "CONFIG_B=m", '"', '=""', "=-1", "=0x", "=0b1", "=1_0", "=99999999999999999999", "CONFIG_",
)  # fmt: skip
_LOG_WORDS = (
    "0: (b7) r0 = 0", "; x @ a.c:1", "from 1 to 2: R0=1", "processed 9 insns", "Verification failed: x", "At:",
    "  >>> 3 | (85) call", "Reason:", "R1 invalid mem access 'scalar'", "invalid insn 99999999999",
    "R1_w=scalar(id=1,umax=255,var_off=(0x0; 0xff))", "fp-8_w=mmmmmmmm", "caller:", "frame1:", "R10=fp0",
    "R0=map_value", "call pc+99999999999", "9: (79) r1 = *(u64 *)(r10 -8)", "7: (2d) if r1 > r2 goto pc-5",
    "alloc_insn=3", "refs=2",
)  # fmt: skip
_SYMBOL_WORDS = (
    "ffffffff81000000 T a", "0 t b", "zz T c", "1", "1 T", "-1 T x", "[veth]", "\t[", "1_0 t d",
)  # fmt: skip
_NAME_WORDS = (
    "?", "/", "kprobe", "xdp", "0-3", "0-", "0-65535", "1.2.3", "Debian 5.10.46", "99999999999", "\u0660",
)  # fmt: skip
_DECLARATION_WORDS = (
    "struct x {", "}", "int a;", "char b[99999999999];", "[0]", "*" * 50, "void v;", "unsigned", "a,", "const",
)  # fmt: skip

TARGETS = (
    Target("disassembler", disassemble, (AsmError,), _code_seeds, mutate_parts([mutate_code, mutate_bytes]), 1 << 12),
    Target("kconfig", read_kconfig, (NotSupportedError,), _kconfig_seeds, mutate_text(*_KCONFIG_WORDS), 1 << 12),
    Target("verifier_log", read_verifier_log, (), _log_seeds, mutate_text(*_LOG_WORDS), 1 << 13),
    Target("kallsyms", read_kallsyms, (), _symbol_seeds, mutate_text(*_SYMBOL_WORDS)),
    Target("names", read_names, (), _section_seeds, mutate_text(*_NAME_WORDS), 1 << 12),
    Target("declaration", read_declaration, (SpecError, BtfError), _declaration_seeds,
           mutate_text(*_DECLARATION_WORDS), 1 << 12),
    Target("ld_cache", read_cache, (SpecError,), _cache_seeds, mutate_bytes, 1 << 12),
    Target("mappings", read_mappings, (), _mapping_seeds, mutate_text(*_SYMBOL_WORDS), 1 << 12),
    Target("binary", read_binary, (ElfError,), _binary_seeds, mutate_elf),
)  # fmt: skip
