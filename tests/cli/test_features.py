"""``aiobpf features``: what the kernel can do, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

import aiobpf
from aiobpf.cli import features
from aiobpf.cli.commands import main
from aiobpf.kernel import kernel_release

if TYPE_CHECKING:
    from aiobpf.kernel.feature_report import FeatureReport

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def whole_report() -> FeatureReport:
    return anyio.run(aiobpf.features.report)


@pytest.fixture
def asked_once(whole_report: FeatureReport, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report takes half a minute under emulation: one for all tests."""

    async def ask(unprivileged: bool) -> FeatureReport:
        assert not unprivileged
        return whole_report

    monkeypatch.setattr(features, "_ask", ask)


@pytest.mark.usefixtures("asked_once")
def test_the_report_as_json_has_each_answer_with_its_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["program_types"]["xdp"] == {"supported": True}
    assert told["map_types"]["rhash"] == (
        {"supported": True} if kernel_release() >= (7, 2) else {"supported": False, "since": "7.2"}
    )
    assert told["attach_types"]["trace_iter"] == {"supported": True}
    assert told["link_types"]["cgroup"] == {"supported": True}
    assert told["map_flags"]["mmapable"] == {"supported": True}
    assert told["features"]["isa_v3"] == {"supported": True}
    assert "bpf_xdp_adjust_head" in told["helpers"]["xdp"]
    assert "bpf_xdp_adjust_head" not in told["helpers"]["sched_cls"]
    assert told["kernel"].startswith(f"{kernel_release()[0]}.")
    assert told["settings"].keys() >= {"net.core.bpf_jit_enable", "kernel.unprivileged_bpf_disabled"}


@pytest.mark.usefixtures("asked_once")
def test_the_report_for_people_says_since_when(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Linux ")
    assert "program types\n  yes      socket_filter  kprobe" in out
    if kernel_release() < (7, 2):
        assert "rhash (since 7.2)" in out
    assert "unknown" not in out
    assert all(len(line) <= 100 for line in out.splitlines())


@pytest.mark.usefixtures("asked_once")
def test_the_helpers_of_a_program_type_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "--helpers", "xdp", "--helpers", "EXT"]) == 0
    out = capsys.readouterr().out
    assert "bpf_xdp_adjust_head" in out
    assert "may call what the program that it extends may" in " ".join(out.split())
    assert main(["features", "--helpers", "nonsense"]) == 2
    assert "there is no program type 'nonsense': socket_filter, kprobe" in capsys.readouterr().err


@pytest.mark.slow
def test_an_ordinary_user_is_told_what_the_kernel_would_not_say() -> None:
    command = [sys.executable, "-W", "error", "-m", "aiobpf", "features", "--unprivileged"]
    told = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert told["program_types"]["kprobe"]["supported"] is None
    assert "CAP_" in told["program_types"]["kprobe"]["why"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "unknown" in out
    assert "--json tells why" in out
