"""Every input that fuzzing kept or found gives an answer or a named error, within a second and 256 MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz.corpus import cases_of, corpus_of
from tests.fuzz.findings import Findings
from tests.fuzz.random_engine import fuzz, try_input
from tests.fuzz.table import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # a second is one of this machine's
EACH_TARGET = pytest.mark.parametrize("name", TARGETS)


@EACH_TARGET
def test_the_corpus_gives_answers_or_named_errors(name: str) -> None:
    target = TARGETS[name]
    for data in [*target.seeds(), *corpus_of(name)]:
        answer = try_input(target, data)
        assert not isinstance(answer, Exception), f"{answer!r} from {data.hex()}"


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name}-{case.name}") for name in TARGETS for case in cases_of(name)],
)
def test_what_was_found_stays_mended(name: str, case: Path) -> None:
    answer = try_input(TARGETS[name], case.read_bytes())
    if isinstance(answer, Exception):
        raise answer


@EACH_TARGET
def test_changes_by_chance_give_answers_or_named_errors(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    findings = Findings(tmp_path, target)
    inputs = [*target.seeds(), *corpus_of(name)]
    assert fuzz(target, inputs, findings, seed=20, most=150) == 150
    assert findings.places == []
