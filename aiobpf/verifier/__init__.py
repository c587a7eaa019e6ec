"""The verifier's log as values: verdict, path, register states, and where a value came from. Text in, values out.

Nothing here is imported while programs load; a refusal is what first needs it. ``Refusal(log)`` takes the log of any
loader: no program and no kernel has to be at hand.
"""

from __future__ import annotations

from aiobpf.verifier.effects import Action, Effect, effect_of
from aiobpf.verifier.machine import Frame, frames_before
from aiobpf.verifier.origin import Event, Origin, trace
from aiobpf.verifier.path import Path, Step, read_path
from aiobpf.verifier.reasons import CAUSES, Cause, Diagnosis, diagnose
from aiobpf.verifier.refusal import Notes, Refusal
from aiobpf.verifier.registers import RegisterState, States, read_states
from aiobpf.verifier.verdict import CausalEvent, Report, Statistics, Verdict, read_verdict

__all__ = [
    "CAUSES",
    "Action",
    "CausalEvent",
    "Cause",
    "Diagnosis",
    "Effect",
    "Event",
    "Frame",
    "Notes",
    "Origin",
    "Path",
    "Refusal",
    "RegisterState",
    "Report",
    "States",
    "Statistics",
    "Step",
    "Verdict",
    "diagnose",
    "effect_of",
    "frames_before",
    "read_path",
    "read_states",
    "read_verdict",
    "trace",
]
