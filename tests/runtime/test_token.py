"""Loads under a BPF token, in a user namespace that may do nothing without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import aiobpf.kernel.mounts as mounts_module
from aiobpf import kernel
from aiobpf.errors import KernelError, NotSupportedError, SpecError
from aiobpf.runtime import LoadOptions, Map
from aiobpf.spec import MapSpec
from aiobpf.uapi import MapType

NO_TOKEN = r"first user namespace|needs Linux 6\.9|root of a bpf"

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    script = Path(__file__).with_name("token_user.py")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout)
    return found


@pytest.mark.shows("token")
@pytest.mark.requires("tokens")
def test_what_a_user_namespace_may_not_load_is_loaded_under_a_token(told: dict[str, object]) -> None:
    """The token goes with each of the calls: the BTF, the maps, the program."""
    assert "EPERM" in str(told["without"])
    assert told["collection"] == 0x1001
    assert told["program"] == 0x1001 + ord("i")
    assert (told["map"], told["name"], told["allowed"]) == (7, "count", True)
    assert (told["probe"], told["probe without"]) == ("Supported", "Inconclusive")


@pytest.mark.shows("token")
@pytest.mark.requires("tokens")
def test_a_token_of_a_delegated_bpffs_is_found_where_that_is_mounted(told: dict[str, object]) -> None:
    assert told["found before"] is False
    assert (told["found"], told["found program"], told["found map"]) == (0x1001, 0x1001 + ord("i"), 8)


@pytest.mark.requires("tokens")
def test_a_token_may_be_named_by_its_bpffs_and_none_may_be_wanted(told: dict[str, object]) -> None:
    assert told["named"] == 9
    assert "EPERM" in str(told["none"])
    assert "BPF token of /: BPF_TOKEN_CREATE" in str(told["no bpffs"])
    assert "It is not the root of a bpffs" in str(told["no bpffs"])
    assert "BPF token of /nowhere: open" in str(told["nowhere"])


@pytest.mark.everywhere
async def test_there_are_no_tokens_where_capabilities_count(tmp_path: Path) -> None:
    assert kernel.find_token() is None
    spec = MapSpec(name="m", type=MapType.HASH, key_size=4, value_size=4, max_entries=2)
    await (await Map.create(spec, token="auto")).aclose()
    place = tmp_path / "bpffs"
    place.mkdir()
    subprocess.run(["mount", "-t", "bpf", "-o", "delegate_cmds=any", "bpf", place], check=False, capture_output=True)
    try:
        with pytest.raises((KernelError, NotSupportedError), match=NO_TOKEN):
            await Map.create(spec, token=place)
    finally:
        subprocess.run(["umount", place], check=False, capture_output=True)


def test_what_is_no_token_is_refused_before_anything_is_loaded() -> None:
    for wrong in (True, 1.5, b"x"):
        with pytest.raises(SpecError, match="token is a descriptor of a BPF token, the directory of a bpffs"):
            LoadOptions(token=wrong)  # type: ignore[arg-type]


def test_a_mount_with_an_option_is_told_from_those_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(
        "bpf /sys/fs/bpf bpf rw,nosuid,mode=700 0 0\n"
        "bpf /run/a\\040token bpf rw,relatime,delegate_cmds=prog_load 0 0\n"
        "tmpfs /tmp tmpfs rw,delegate_cmds=any 0 0\n"
        "bpf /short bpf\n"
    )
    real = open
    monkeypatch.setattr(
        mounts_module,
        "open",
        lambda path, mode: real(table if path == "/proc/self/mounts" else path, mode),
        raising=False,
    )
    assert list(mounts_module.mounts("bpf")) == ["/sys/fs/bpf", "/run/a token"]
    assert list(mounts_module.mounts("bpf", with_option="delegate_")) == ["/run/a token"]
