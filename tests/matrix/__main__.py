"""Make the table of docs/kernels.md anew, from the output of runs on all kernels.

AIOBPF_TEST_MATRIX=matrix.txt python -m pytest tests -m shows
AIOBPF_TEST_MATRIX=matrix.txt python -m tests.vm.kernels 5.10 6.1 6.12 6.18 7.3
python -m tests.matrix matrix.txt
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.matrix.marks import tests_of_rows
from tests.matrix.outcomes import Outcome, read
from tests.matrix.rows import KERNELS, YARDSTICK

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "kernels.md"
LACKING = re.compile(r"no .*? here \((.*)\)")
"""How tests/conftest.py says what a kernel lacks; the table says why."""
REFUSED = "refused by name"
"""For what no kernel at hand can: the test sees the error."""
BEGIN, END = "<!-- matrix -->", "<!-- end of the matrix -->"


def table(kernels: dict[str, dict[str, Outcome]]) -> str:
    """The table, in Markdown. A row that a run did not reach is "not run"."""
    marks = tests_of_rows()
    lines = [f"| effect | {' | '.join(KERNELS)} | shown by |", "|---" * (len(KERNELS) + 2) + "|"]
    for row in YARDSTICK:
        cells = [
            _cell(kernels.get(kernel, {}).get(row), shown="yes" if YARDSTICK[row] else REFUSED) for kernel in KERNELS
        ]
        tests = ", ".join(f"`{test}`" for test in marks.get(row, ["no test"])[:2])
        lines.append(f"| {row} | {' | '.join(cells)} | {tests} |")
    return "\n".join(lines)


def _cell(outcome: Outcome | None, *, shown: str) -> str:
    if outcome is None:
        return "not run"
    if outcome.result == "shown":
        return shown
    if outcome.result == "failed":
        return "**failed**"
    lacking = LACKING.fullmatch(outcome.why)
    return f"no: {lacking[1] if lacking else outcome.why}"


def main(paths: list[str]) -> None:
    kernels = read(line for path in paths for line in Path(path).read_text().splitlines())
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table(kernels)}\n\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
