"""Each example does what its first line says, as a process of its own."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load programs")]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PYTHON = [sys.executable, "-W", "error"]
TIMEOUT_S = 60
PORT = 8080


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> str:
    """ctrl-C; what it still had to say."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert not err
    return out


def test_the_exec_monitor_shows_executions_and_their_end() -> None:
    example = EXAMPLES / "exec_monitor.py"
    assert len(example.read_text().splitlines()) <= 30
    with running(*PYTHON, str(example)) as process:
        # It says nothing until something is executed; so execute until it does.
        shown = ""
        deadline = time.monotonic() + TIMEOUT_S
        assert process.stdout is not None
        while "exit 7 after" not in shown and time.monotonic() < deadline and process.poll() is None:
            subprocess.run(["/bin/sh", "-c", "exit 7", "it is me"], check=False)
            while select.select([process.stdout], [], [], 0.1)[0]:
                shown += os.read(process.stdout.fileno(), 65536).decode()
        end(process)
    assert f"uid {os.getuid()}  /bin/sh -c 'exit 7' 'it is me'" in shown
    assert "exit 7 after" in shown


def test_the_perf_sampler_names_what_is_busy() -> None:
    with running(sys.executable, "-c", "while True: pass") as busy:
        done = subprocess.run(
            [*PYTHON, str(EXAMPLES / "perf_sampler.py"), "--seconds", "1", "--frequency", "200"],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    *rows, last = done.stdout.splitlines()
    assert last.endswith(" 0 lost")
    assert any(line.split()[-2] == str(busy.pid) for line in rows), done.stdout


def test_the_flame_graph_names_the_functions_of_a_process_that_ended(tmp_path: Path) -> None:
    source, busy = tmp_path / "busy.c", tmp_path / "busy"
    source.write_text(
        "#include <time.h>\nvolatile long n; void work(void) { for (int i = 0; i < 1000; i++) n++; }\n"
        "int main(void) { for (time_t end = time(0) + 6; time(0) < end;) work(); }\n"
    )
    subprocess.run(["gcc", "-O0", "-fno-omit-frame-pointer", "-o", str(busy), str(source)], check=True)
    with subprocess.Popen([str(busy)]):
        done = subprocess.run(
            [*PYTHON, str(EXAMPLES / "flame_graph.py"), "--seconds", "8", "--frequency", "200"],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "samples, 0 newcomers missed" in done.stderr
    ours = [line for line in done.stdout.splitlines() if line.startswith("busy;")]
    assert any("main;work" in line for line in ours), done.stdout[:4000]
    assert all(int(line.rpartition(" ")[2]) > 0 for line in done.stdout.splitlines())


# --- the TCP server in a network namespace ----------------------------------------------------------------------------


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a cable between them: 10.99.0.1 and 10.99.0.2, on interfaces ``near`` and ``far``."""
    if shutil.which("ip") is None:
        pytest.skip("no ip(8)")
    names = f"aiobpf-near-{os.getpid()}", f"aiobpf-far-{os.getpid()}"
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "near", "netns", names[0], "type", "veth", "peer", "name", "far", "netns", names[1])
        for number, (name, interface) in enumerate(zip(names, ("near", "far"), strict=True), 1):
            ip("-n", name, "addr", "add", f"10.99.0.{number}/24", "dev", interface)
            ip("-n", name, "link", "set", interface, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def inside(namespace: str, *command: str) -> list[str]:
    # Not `ip netns exec`: that mounts a fresh /sys, without the cgroups and pins of the old one.
    return ["nsenter", f"--net=/run/netns/{namespace}", *command]


CLIENT = """
import socket, sys
with socket.create_connection(("10.99.0.1", int(sys.argv[1])), timeout=20) as connection:
    lines = connection.makefile()
    for _ in range(3):
        print(next(lines), end="")
"""


def test_the_server_counts_its_peers_live(pair: tuple[str, str]) -> None:
    near, far = pair
    server = [*PYTHON, str(EXAMPLES / "xdp_peer_counters.py"), "near", "--port", str(PORT), "--interval", "0.1"]
    with running(*inside(near, *server)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"port {PORT}, counting on near\n"
        client = subprocess.run(
            inside(far, sys.executable, "-c", CLIENT, str(PORT)),
            capture_output=True, text=True, timeout=TIMEOUT_S, check=True,
        )  # fmt: skip
        shown = subprocess.run(["ip", "-n", near, "link", "show", "near"], capture_output=True, text=True, check=True)
        assert "xdp" in shown.stdout
        end(process)
        shown = subprocess.run(["ip", "-n", near, "link", "show", "near"], capture_output=True, text=True, check=True)
        assert "xdp" not in shown.stdout
    seen = [json.loads(line)["10.99.0.2"] for line in client.stdout.splitlines()]
    assert seen[0]["packets"] >= 2  # SYN, ACK
    assert seen[0]["packets"] < seen[1]["packets"] < seen[2]["packets"]  # the client acknowledges each line
    assert all(each["bytes"] >= 54 * each["packets"] for each in seen)
