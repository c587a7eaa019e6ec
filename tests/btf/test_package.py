"""What opening a BTF imports."""

from __future__ import annotations

import subprocess
import sys


def test_opening_a_btf_imports_neither_codecs_nor_core() -> None:
    code = (
        "import sys; from aiobpf.btf import Btf, BtfBuilder; Btf.from_bytes(BtfBuilder().encode());"
        "print(*(name for name in sys.modules if 'codec' in name and 'aiobpf' in name or 'core_' in name))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert [name for name in found if name.startswith("aiobpf")] == []
