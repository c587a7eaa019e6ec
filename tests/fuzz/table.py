"""Every target by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz import btf_targets, object_targets, text_targets

if TYPE_CHECKING:
    from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*object_targets.TARGETS, *btf_targets.TARGETS, *text_targets.TARGETS)
}
