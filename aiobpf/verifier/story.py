"""A refusal told from its beginning: the last steps between their source lines, what each changed, and where the
offending values came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiobpf.verifier.machine import Frame
    from aiobpf.verifier.origin import Origin
    from aiobpf.verifier.path import Step
    from aiobpf.verifier.refusal import Refusal

_COLUMN = 46
_WIDEST = 160


def tell(refusal: Refusal, steps: int) -> str:
    """The story of *refusal* over the last *steps* instructions."""
    parts = [list(_way(refusal, steps)), list(_origins(refusal)), list(_registers(refusal)), list(_kernel(refusal))]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _way(refusal: Refusal, count: int) -> Iterator[str]:
    path = refusal.near_path.steps
    if not path:
        return
    shown = range(max(0, len(path) - max(count, 1)), len(path))
    marked = {event.index for origin in refusal.origins for event in origin.events}
    digits = max(len(str(path[index].slot)) for index in shown)
    yield f"The way there, its last {len(shown)} instructions (* made the value that is wrong):"
    shown_source = None
    for index in shown:
        step = path[index]
        source = refusal.source_of(step)
        if source is not None and source != shown_source:
            yield f"  {source}"
            shown_source = source
        is_last = index == len(path) - 1
        mark = ">" if is_last else "*" if index in marked else " "
        line = f"  {mark} {step.slot:>{digits}}: {refusal.text_of(step)}"
        notes = _found(refusal, step) if is_last else _changes(refusal, index, step)
        yield f"{line:<{_COLUMN}}  {notes}"[:_WIDEST].rstrip()
    yield f"    {' ' * digits}  ^ {refusal.verdict.reason or 'the kernel gives no reason'}"


def _found(refusal: Refusal, step: Step) -> str:
    """What the failing instruction reads."""
    read = [f"R{number}" for number in dict.fromkeys((*refusal.offending, *step.effect.reads)) if number != 10]
    return " ".join(str(refusal.registers[name]) for name in read if name in refusal.registers)


def _changes(refusal: Refusal, index: int, step: Step) -> str:
    before, after = refusal.frames[index], refusal.frames[index + 1]
    if step.branch_taken is not None:
        taken = "jumps;" if step.branch_taken else "goes on;"
        return " ".join([taken, *_changed(before, after)]).removesuffix(";")
    if step.entered:
        return "goes into it"
    return " ".join(_changed(before, after))


def _changed(before: Frame, after: Frame) -> list[str]:
    return [str(state) for name, state in after.items() if before.get(name) != state and name != "R10"]


def _origins(refusal: Refusal) -> Iterator[str]:
    for number, origin in enumerate(refusal.origins):
        if number:
            yield ""
        yield from _origin(refusal, origin)


def _origin(refusal: Refusal, origin: Origin) -> Iterator[str]:
    if origin.register == "reference":
        yield "What is not released:"
    else:
        held = f", {origin.state.describe()}" if origin.state is not None else ""
        yield (
            f"Where {origin.register}{held}, came from (newest first):"
            if held
            else (f"Where {origin.register} came from (newest first):")
        )
    for event in origin.events:
        place = f"{event.place} " if event.place != "reference" else ""
        if event.step is None:
            yield (
                f"  at the start: {place}is {event.words}"
                if not event.words.startswith("never")
                else (f"  at the start: {place}was {event.words}")
            )
            continue
        source = refusal.source_of(event.step)
        yield f"  {event.step.slot}: {place}{event.words}" + (f"  ({source})" if source else "")


def _registers(refusal: Refusal) -> Iterator[str]:
    if refusal.step is None or len(refusal.registers) < 2:
        return
    yield f"Registers and stack at instruction {refusal.step.slot}:"
    for name, state in sorted(
        refusal.registers.items(), key=lambda item: (item[0][0] != "R", int(item[0].lstrip("Rfp-")))
    ):
        yield f"  {name:<6} {state.text:<40}  {state.describe()}"[:_WIDEST].rstrip()


def _kernel(refusal: Refusal) -> Iterator[str]:
    report = refusal.verdict.report
    if report is not None:
        yield f"The kernel's own report: {report.title}"
        for label, text in (("reason", report.reason), ("suggestion", report.suggestion)):
            if text:
                yield f"  {label}: {text}"
        for event in report.causal_path:
            yield f"  {event.slot}: {event.kind}: {event.text}"
    statistics = refusal.statistics
    if statistics is not None:
        yield (
            f"The verifier walked {statistics.instructions} instructions"
            + (f" in {statistics.time_us} us" if statistics.time_us is not None else "")
            + "."
        )
