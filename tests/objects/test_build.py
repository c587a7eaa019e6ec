"""The committed objects are what their sources make, and the headers compile wherever they should."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
INCLUDE = HERE.parent.parent / "aiobpf" / "include"

HEADERS = """\
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

_Static_assert(sizeof(struct __sk_buff) == 192, "__sk_buff");
_Static_assert(sizeof(struct xdp_md) == 24, "xdp_md");
_Static_assert(sizeof(struct bpf_sock) == 80, "bpf_sock");
_Static_assert(sizeof(struct bpf_sock_addr) == 72, "bpf_sock_addr");
_Static_assert(sizeof(struct sk_msg_md) == 80, "sk_msg_md");
_Static_assert(sizeof(struct bpf_sockopt) == 40, "bpf_sockopt");
_Static_assert(sizeof(struct iphdr) == 20, "iphdr");
_Static_assert(sizeof(struct ipv6hdr) == 40, "ipv6hdr");
_Static_assert(sizeof(struct tcphdr) == 20, "tcphdr");

struct inner { int value; } __attribute__((preserve_access_index));
struct outer { const struct inner *const inner; int bits : 3; } __attribute__((preserve_access_index));
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); }
	programs SEC(".maps");

SEC("kprobe/vfs_read")
int BPF_KPROBE(on_read, struct outer *file, char *buffer, size_t count)
{
	bpf_printk("none");
	bpf_printk("%d", 1);
	bpf_printk("%d %d %d %d", 1, 2, 3, 4);
	return BPF_CORE_READ(file, inner, value) + count + BPF_CORE_READ_BITFIELD_PROBED(file, bits);
}

SEC("kretprobe/vfs_read")
int BPF_KRETPROBE(on_return, long result) { return result > 0; }

SEC("ksyscall/kill")
int BPF_KSYSCALL(on_kill, pid_t pid, int signal) { return pid == signal; }

SEC("tp_btf/x")
int BPF_PROG(on_exec, struct outer *a, int b)
{
	BPF_CORE_WRITE_BITFIELD(a, bits, b);
	return BPF_CORE_READ_BITFIELD(a, bits);
}

SEC("syscall")
int loop(void *ctx)
{
	int i, sum = 0;
	char text[16];

	bpf_for(i, 0, 10) sum += i;
	bpf_repeat(3) sum++;
	BPF_SNPRINTF(text, sizeof(text), "%d %s", sum, "x");
	bpf_tail_call_static(ctx, &programs, 0);
	return bpf_htons(text[0]) + bpf_ntohl(sum) + bpf_be64_to_cpu(sum);
}

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """build.py as a module; it is a script, and tests are no package."""
    spec = importlib.util.spec_from_file_location("build_test_objects", HERE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_source_has_its_objects_and_no_object_has_a_path_of_a_machine(build: ModuleType) -> None:
    names = [source.name for source in build.sources()]
    assert {"exec_monitor.bpf.c", "xdp_peer_counters.bpf.c", "perf_sampler.bpf.c", "flame_graph.bpf.c"} <= set(names)
    assert len(names) == len(set(names))
    expected = {source.parent / file for source in build.sources() for _, file in build.targets(source)}
    assert {path for folder in build.FOLDERS for path in folder.glob("*.bpf.o")} == expected
    for path in expected:
        data = path.read_bytes()
        assert b"/include/" not in data
        assert bytes(build.REPOSITORY) not in data


def test_objects_are_what_their_sources_make(build: ModuleType) -> None:
    if build.find_clang() is None:
        pytest.skip("no clang to rebuild the objects with")
    assert build.check() == []


@pytest.mark.parametrize("machine", ["x86", "arm64"])
@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
def test_the_headers_need_no_others(build: ModuleType, tmp_path: Path, target: str, machine: str) -> None:
    clang = build.find_clang()
    if clang is None:
        pytest.skip("no clang")
    compile_headers([clang], tmp_path, target, machine)


def test_the_headers_compile_with_zig(tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    compile_headers([sys.executable, "-m", "ziglang", "clang"], tmp_path, "bpfel", "x86")


def compile_headers(compiler: list[str], directory: Path, target: str, machine: str) -> None:
    source = directory / "headers.bpf.c"
    source.write_text(HEADERS)
    options = ["-nostdinc", "-g", "-O2", "-mcpu=v3", "-Wall", "-Werror", f"-D__TARGET_ARCH_{machine}"]
    run = subprocess.run(
        [*compiler, "-target", target, *options, "-I", INCLUDE, "-c", source, "-o", directory / "headers.o"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
