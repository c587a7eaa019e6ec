"""Fuzzing without coverage: changes upon changes to what is known, for where atheris cannot be installed."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING

from tests.fuzz.limits import SECONDS, TooSlowError, limited_memory, limited_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.findings import Findings
    from tests.fuzz.target import Target


def try_input(target: Target, data: bytes, seconds: float = SECONDS) -> bool | Exception:
    """Whether an input was taken, or what went wrong with it; a slow one gets a second chance."""
    for is_last in (False, True):
        try:
            with limited_memory(), limited_time(seconds):
                return target(data)
        except TooSlowError as error:
            if is_last:
                return error
        except Exception as error:
            return error
    raise AssertionError


def fuzz(
    target: Target,
    inputs: Sequence[bytes],
    findings: Findings,
    *,
    seed: int,
    seconds: float = math.inf,
    most: float = math.inf,
) -> int:
    """Try changes of *inputs* for so many *seconds*, at *most* so many; how many were tried."""
    chance = random.Random(seed)
    pool = list(inputs)
    end = time.monotonic() + seconds
    count = 0
    while count < most and time.monotonic() < end:
        data = chance.choice(pool)
        for _ in range(chance.choice((1, 1, 2, 4))):
            data = target.mutate(data, chance)[: target.max_size]
        answer = try_input(target, data)
        if isinstance(answer, Exception):
            findings.add(data, answer)
        elif answer and chance.random() < 0.2:  # so that changes add up; of what is refused, nothing can be made
            pool[chance.randrange(len(pool))] = data
        count += 1
    return count
