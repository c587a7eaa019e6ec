"""``aiobpf run`` from end to end, as a process of its own, on the running kernel."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiobpf.cli.compile import find_compiler
from aiobpf.errors import CompilerError

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load programs")]

COMMAND = [sys.executable, "-X", "dev", "-W", "error", "-m", "aiobpf", "run"]
TIMEOUT_S = 60

PROBE = """
#include <bpf/bpf_uapi.h>
#include <bpf/bpf_helpers.h>

struct event { __u32 pid; char comm[16]; };
struct large { __u64 numbers[7], last; };
struct large large;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
	__type(value, struct event);
} typed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} untyped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

const volatile __u32 only_pid = 0;
__u64 lost_typed = 0;

SEC("raw_tp/sched_process_exec")
int on_exec(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct event event = { .pid = pid };
	if (only_pid && only_pid != pid)
		return 0;
	bpf_get_current_comm(event.comm, sizeof(event.comm));
	if (bpf_ringbuf_output(&typed, &event, sizeof(event), 0))
		__sync_fetch_and_add(&lost_typed, 1);
	bpf_perf_event_output(ctx, &untyped, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return 0;
}

SEC("xdp")
int nowhere(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
"""


def run(*arguments: str, prefix: tuple[str, ...] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *COMMAND, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **options
    )


@pytest.fixture
def probe(tmp_path: Path) -> str:
    try:
        find_compiler()
    except CompilerError as error:
        pytest.skip(str(error))
    path = tmp_path / "probe.bpf.c"
    path.write_text(PROBE)
    return str(path)


# --- the exec monitor -------------------------------------------------------------------------------------------------


def test_an_execution_and_its_end_are_two_json_objects(start: Start) -> None:
    monitor = start("--json")
    subprocess.run(["/bin/sh", "-c", "exit 3", "it is me"], check=False)
    found: dict[str, Any] = {}
    while len(found) < 2:
        event = monitor.next()
        if event["argv"] and event["argv"][-1] == "it is me":
            found[event["kind"]] = event
    _, err = monitor.end()
    executed, ended = found["exec"], found["exit"]
    assert executed["map"] == ended["map"] == "events"
    assert executed["argv"] == ["/bin/sh", "-c", "exit 3", "it is me"]
    assert executed["argv_truncated"] is False
    assert executed["filename"] == "/bin/sh"
    assert (executed["comm"], executed["ppid"], executed["uid"]) == ("sh", os.getpid(), os.getuid())
    assert executed["exit_code"] is executed["duration_ns"] is None
    assert ended == executed | {
        "kind": "exit", "time": ended["time"], "exit_code": 3, "signal": 0, "core_dumped": False,
        "duration_ns": ended["duration_ns"],
    }  # fmt: skip
    assert 0 < ended["duration_ns"] < TIMEOUT_S * 10**9
    assert re.search(r"aiobpf: \d+\.\d s: \d+ events; none lost", err)


def test_signals_and_long_argument_vectors(start: Start) -> None:
    monitor = start("--json", "--set", f"only_uid={os.getuid()}")
    subprocess.run(["/bin/sh", "-c", "kill -9 $$", "x" * 2000], check=False)
    event: dict[str, Any] = {"kind": "", "argv_truncated": False}
    while not (event["argv_truncated"] and event["kind"] == "exit"):
        event = monitor.next()
    monitor.end()
    assert (event["signal"], event["exit_code"]) == (9, 0)
    assert event["argv"][:3] == ["/bin/sh", "-c", "kill -9 $$"]
    assert 0 < len(event["argv"][3]) < 512


def test_plain_lines_come_as_they_happen(start: Start) -> None:
    monitor = start()
    subprocess.run(["/bin/echo", "plain lines"], stdout=subprocess.DEVNULL, check=True)
    assert monitor.out.readline().split()[:4] == ["TIME", "EVENT", "PID", "PPID"]
    while not monitor.out.readline().endswith("/bin/echo 'plain lines'\n"):
        pass
    monitor.end(signal.SIGTERM)


def test_settings_choose_what_is_reported(start: Start) -> None:
    monitor = start("--json", "--set", "only_uid=123456")
    subprocess.run(["/bin/true"], check=True)
    out, err = monitor.end()
    assert not out
    assert "0 events" in err


def test_a_duration_ends_it() -> None:
    started = time.monotonic()
    done = run("--duration", "0.3")
    assert done.returncode == 0
    assert re.search(r"aiobpf: 0\.\d s: ", done.stderr)
    assert time.monotonic() - started < TIMEOUT_S


def test_a_reader_that_leaves_ends_it_quietly(start: Start) -> None:
    monitor = start("--json")
    before = monitor.err
    monitor.out.close()
    deadline = time.monotonic() + TIMEOUT_S
    while monitor.process.poll() is None and time.monotonic() < deadline:
        subprocess.run(["/bin/true"], check=True)
    assert monitor.process.wait(1) == 0
    assert monitor.err == before


def test_what_was_submitted_before_the_end_is_shown(start: Start) -> None:
    monitor = start("--json")
    for _ in range(50):
        subprocess.run(["/bin/true", "one of fifty"], check=True)
    out, err = monitor.end()
    argvs = [json.loads(line)["argv"] for line in out.splitlines()]
    assert argvs.count(["/bin/true", "one of fifty"]) == 100
    assert f"{len(argvs)} events; none lost" in err


# --- objects and sources ----------------------------------------------------------------------------------------------


def test_a_source_is_compiled_and_every_map_shown(probe: str, start: Start) -> None:
    shown = start(probe, "--json", ready="attached program 'on_exec'")
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    found: dict[str, Any] = {}
    while len(found) < 2:
        event = shown.next()
        if event["map"] == "untyped":
            data = bytes.fromhex(event["data"])
            if int.from_bytes(data[:4], sys.byteorder) == child.pid:
                found["untyped"] = data[4:8]
        elif event["pid"] == child.pid:
            found["typed"] = event
    _, err = shown.end()
    assert found["typed"] == {"map": "typed", "pid": child.pid, "comm": "true"}
    assert found["untyped"] == b"true"
    assert "program 'nowhere' (section 'xdp') does not say where to" in err


def test_a_map_is_shown_alone_with_the_type_that_is_given(probe: str, start: Start) -> None:
    shown = start(probe, "--map", "untyped:struct event", ready="attached program 'on_exec'")
    subprocess.run(["/bin/true"], check=True)
    assert shown.out.readline().split() == ["pid", "comm"]
    while shown.out.readline().split()[1] != "true":
        pass
    _, err = shown.end()
    assert " typed" not in err


def test_a_map_is_shown_as_bytes_if_that_is_asked_for(probe: str, start: Start) -> None:
    shown = start(probe, "--json", "--map", "typed:bytes", ready="attached program 'on_exec'")
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    while not shown.next()["data"].startswith(child.pid.to_bytes(4, sys.byteorder).hex()):
        pass
    shown.end()


def test_losses_that_the_program_counts_are_told(probe: str, start: Start) -> None:
    source = Path(probe)
    # No ring has room for a record that is larger than it.
    large = PROBE.replace("&typed, &event, sizeof(event)", "&typed, large_record, sizeof(large_record)")
    source.write_text(large.replace("__u64 lost_typed", "char large_record[1 << 17];\n__u64 lost_typed"))
    shown = start(probe, "--json", "--map", "typed", ready="attached program 'on_exec'")
    for _ in range(3):
        subprocess.run(["/bin/true"], check=True)
    out, err = shown.end()
    assert not out
    lost = re.search(r"0 typed, (\d+) lost", err)
    assert lost is not None
    assert int(lost[1]) >= 3


def test_maps_to_be_pinned_need_a_bpffs(probe: str, tmp_path: Path) -> None:
    source = Path(probe)
    source.write_text(
        PROBE.replace("__type(value, __u64);", "__type(value, __u64);\n\t__uint(pinning, LIBBPF_PIN_BY_NAME);")
    )
    done = run(probe, "--pin-path", str(tmp_path))
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert "mount -t bpf" in done.stderr


def test_a_type_that_is_too_long_ends_with_the_way_out(probe: str) -> None:
    arguments = [*COMMAND, probe, "--map", "typed:struct large", "--duration", "30"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            subprocess.run(["/bin/true"], check=True)
        _, err = process.communicate()
    assert process.returncode == 1
    assert "a record of 20 bytes is too short: struct large has 64 bytes" in err
    assert "--map typed:bytes shows the records as they are" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "only_pidd=1"], "no global variable 'only_pidd' to --set; did you mean 'only_pid'?"),
        (["--set", "only_pid=me"], "--set only_pid=me: it takes an integer"),
        (["--set", "only_pid=-1"], "--set only_pid=-1: "),
        (["--map", "typd"], "no map 'typd'; did you mean 'typed'?"),
        (["--map", "table"], "map 'table' is a ARRAY map: only ring buffers and perf event arrays have events"),
        (["--map", "untyped:struct nothing"], "nothing"),
        (["--program", "on_exit"], "no program 'on_exit'; did you mean 'on_exec'?"),
        (["--program", "nowhere"], "nothing attached: no section says where to: program 'nowhere' (section 'xdp')"),
    ],
)
def test_what_the_object_does_not_have_is_one_error(probe: str, arguments: list[str], message: str) -> None:
    done = run(probe, *arguments, "--duration", "5")
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("aiobpf: ")
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.o", None, "No such file"),
        ("absent.bpf.c", None, "No such file"),
        ("empty.o", b"", ""),
        ("text.o", b"hello", ""),
        ("elf.o", b"\x7fELF\2\1\1" + bytes(57), ""),
        ("wrong.bpf.c", b"int x = ;", "error: expected expression"),
    ],
)
def test_a_bad_file_is_one_error(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = run(str(path))
    assert done.returncode == 1
    assert name in done.stderr.splitlines()[0] or message in done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("aiobpf: ")
    assert "Traceback" not in done.stderr


def test_a_rejected_program_is_named_with_its_source_line(tmp_path: Path, probe: str) -> None:
    path = tmp_path / "rejected.bpf.c"
    path.write_text(PROBE.replace("if (only_pid && only_pid != pid)", "if (*(int *)pid)"))
    quiet = run(str(path))
    assert quiet.returncode == 1
    assert quiet.stderr.startswith("aiobpf: program 'on_exec' was rejected: ") or "warning" in quiet.stderr
    assert "rejected.bpf.c" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    verbose = run(str(path), "-v")
    assert verbose.returncode == 1
    assert "The way there, its last " in verbose.stderr
    assert "came from (newest first):" in verbose.stderr
    assert "  | " in verbose.stderr
    assert len(verbose.stderr.splitlines()) > len(quiet.stderr.splitlines())


def test_a_missing_capability_is_named() -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv(1) to drop capabilities with")
    done = run("--duration", "1", prefix=(setpriv, "--bounding-set=-all", "--inh-caps=-all"))
    assert done.returncode == 1
    assert "CAP_" in done.stderr
    assert "Traceback" not in done.stderr


# --- a terminal -------------------------------------------------------------------------------------------------------


def on_a_terminal(command: list[str], until: str, size: tuple[int, int] = (24, 120)) -> tuple[int, str, str]:
    """Run *command* on a pseudo-terminal until it shows *until*, then ctrl-C; status, screen and stderr."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, size)
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, env=os.environ | {"TERM": "xterm"}
    )
    os.close(terminal)
    shown = b""
    deadline = time.monotonic() + TIMEOUT_S
    has_ended = False
    try:
        while time.monotonic() < deadline:
            if select.select([controller], [], [], 0.05)[0]:
                try:
                    shown += os.read(controller, 65536)
                except OSError:  # EIO: the other end is closed
                    break
            if until.encode() in shown and not has_ended:
                process.send_signal(signal.SIGINT)
                has_ended = True
            elif not has_ended:
                subprocess.run(["/bin/true", "to be seen"], check=True)
        _, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        os.close(controller)
    return process.returncode, shown.decode(errors="replace"), err.decode()


def test_on_a_terminal_it_is_a_live_table() -> None:
    pytest.importorskip("rich")
    status, shown, err = on_a_terminal(COMMAND, "to be seen")
    assert status == 0, err
    assert "\x1b[?1049h" in shown  # the alternate screen is entered
    last = shown.rpartition("\x1b[?1049l")[2]  # and left
    assert "ctrl-C" not in last
    assert "to be seen" in last  # the last table stays
    # The event loop's debug mode (-X dev) says so where drawing took long on a busy machine.
    said = [line for line in err.splitlines() if not line.startswith("Executing <")]
    assert len(said) == 1
    assert re.fullmatch(r"aiobpf: .* events; none lost", said[0])


def test_without_rich_a_terminal_gets_plain_lines() -> None:
    code = "import sys; sys.modules['rich'] = None; from aiobpf.cli import main; sys.exit(main(['run']))"
    status, shown, err = on_a_terminal([sys.executable, "-c", code], "to be seen")
    assert status == 0, err
    assert "\x1b" not in shown
    assert "pip install 'aiobpf[cli]'" in err
