"""Loads under a BPF token, in a user namespace that may do nothing without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root


@pytest.mark.requires("tokens")
def test_what_a_user_namespace_may_not_load_is_loaded_under_a_token() -> None:
    """The token goes with each of the calls: the BTF, the maps, the program."""
    script = Path(__file__).with_name("token_user.py")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert "EPERM" in told.pop("without")
    assert told == {"collection": 0x1001, "program": 0x1001 + ord("i"), "map": 7, "name": "count"}
