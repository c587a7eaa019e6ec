"""Constants about a program that no program uses: bpftool shows them, since the program holds their map."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import aiobpf
from aiobpf.kernel import Feature, features

OBJECT = Path(__file__).parent.parent / "objects" / "metadata.bpf.o"

pytestmark = [pytest.mark.root, pytest.mark.everywhere]


async def test_a_program_holds_what_bpftool_shows_of_it() -> None:
    async with aiobpf.load(OBJECT) as coll:
        info = await coll.programs["nothing"].info()
        assert coll.maps[".rodata"].info().id in info.map_ids
        bpftool = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin")
        assert bpftool is not None, "bpftool is not installed (Debian: bpftool)"
        shown = json.loads(
            subprocess.run(
                [bpftool, "-j", "prog", "show", "id", str(info.id)], check=True, capture_output=True, text=True
            ).stdout
        )
        assert shown["metadata"] == {"version": "1.2", "build": 42}


async def test_before_5_10_the_constants_are_the_collections_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    really = features.may_support
    monkeypatch.setattr(
        features, "may_support", lambda feature, token=None: feature != Feature.PROG_BIND_MAP and really(feature, token)
    )
    async with aiobpf.load(OBJECT) as coll:
        assert (await coll.programs["nothing"].info()).map_ids == ()
        assert coll.variables["bpf_metadata_build"].value == 42


async def test_an_object_without_such_constants_binds_nothing() -> None:
    async with aiobpf.load(OBJECT.with_name("ring_events.bpf.o"), programs=["produce"]) as coll:
        used = {coll.maps[name].info().id for name in coll.maps}
        assert set((await coll.programs["produce"].info()).map_ids) <= used
