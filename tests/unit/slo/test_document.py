"""Are the numbers in docs/slo.md those that the code computes?"""

from __future__ import annotations

from pathlib import Path

from sre.core.units import Duration, format_duration
from sre.slo.windows import budget_of, number, span
from tests.unit.slo.promises import promise

TEXT = (Path(__file__).parents[3] / "docs" / "slo.md").read_text(encoding="utf-8")


def rows(first_column: str) -> list[list[str]]:
    """The table whose head begins with this column."""
    lines = TEXT.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def outage(target: str, index: int) -> str:
    one = promise(target)
    pair = one.pairs[index]
    return format_duration(round(float(pair.factor * budget_of(one.objective) * pair.long)))


def test_what_pages_when():
    assert rows("severity") == [
        [
            pair.severity,
            span(pair.long),
            span(pair.short),
            number(pair.factor),
            outage("99%", index),
            outage("99.9%", index).replace(".00", ""),
        ]
        for index, pair in enumerate(promise().pairs)
    ]


def test_the_low_volume_trap():
    for target, every, *counts in rows("target"):
        one = promise(target, Duration.parse(every))
        budget = budget_of(one.objective)
        needed = [
            int(pair.long / Duration.parse(every) * pair.factor * budget) + 1 for pair in one.pairs
        ]
        assert counts == [str(count) for count in needed], (target, every)
