"""The features of a kernel as one JSON object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiobpf.kernel.features import Answer, Inconclusive, Supported, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.kernel.feature_report import FeatureReport


def print_json(report: FeatureReport) -> None:
    print(json.dumps(as_json(report), indent=2))


def as_json(report: FeatureReport) -> dict[str, Any]:
    """Names are the kernel's, in lower case. *supported* is null where the kernel would not say; *helpers* has those
    that programs of each type may call."""
    return {
        "kernel": report.release,
        "machine": report.machine,
        "settings": dict(report.settings),
        "program_types": _answers(report.program_types),
        "map_types": _answers(report.map_types),
        "map_flags": _answers(report.map_flags),
        "attach_types": _answers(report.attach_types),
        "link_types": _answers(report.link_types),
        "features": _answers(report.features),
        "btf": _answers(report.btf_features),
        "helpers": {
            kind.name.lower(): [f"bpf_{helper.name.lower()}" for helper in report.helpers_of(kind)]
            for kind in report.helpers
        },
    }


def _answers(answers: Mapping[Any, Answer]) -> dict[str, dict[str, Any]]:
    return {question.name.lower(): _answer(answer) for question, answer in answers.items()}


def _answer(answer: Answer) -> dict[str, Any]:
    match answer:
        case Supported():
            return {"supported": True}
        case Unsupported(since):
            return {"supported": False, "since": since}
        case Inconclusive(why):
            return {"supported": None, "why": why}
