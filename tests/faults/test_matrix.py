"""Does every row of docs/failure-matrix.md name tests that exist?"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TABLE = ROOT / "docs" / "failure-matrix.md"
ROWS = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
LAST = 51
_NAMED = re.compile(r"`([a-z0-9_/]+\.py)::(test_\w+)`")


@cache
def defined_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    found = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))
    return frozenset(each.name for each in found)


def rows() -> dict[int, str]:
    return {int(line.split("|")[1]): line for line in ROWS if line.split("|")[1].strip().isdigit()}


def test_all_rows_are_there() -> None:
    """None twice, in order."""
    assert list(rows()) == list(range(1, LAST + 1))


@pytest.mark.parametrize("number", range(1, LAST + 1))
def test_a_row_names_tests_that_exist(number: int) -> None:
    """Or says plainly that it is not tested yet."""
    line = rows()[number]
    named = _NAMED.findall(line)
    for path, name in named:
        assert name in defined_in(path), f"row {number}: {path}::{name}"
    assert named or "not yet" in line, f"row {number} names no test"
