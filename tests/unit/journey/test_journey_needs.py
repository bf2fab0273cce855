"""Is it known beforehand what a journey cannot do without?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.journey.needs import missing, references
from tests.unit.journey.kit import declare, only

WIDE = """
vars: {pw: {secret: true, value: "${env:NEEDS_PW}"}, tree: "x${env:NEEDS_TREE}"}
headers: {X-All: "${env:NEEDS_HEADER}"}
setup: [{name: login, post: /login, form: {p: "${pw}", q: "${env:NEEDS_PW}"}}]
steps:
  - {name: a, get: "/${env:NEEDS_PATH}", expect: {contains: "${env:NEEDS_EXPECT}"}}
  - {name: b, post: /b, json: {deep: [{er: "${env:NEEDS_JSON}"}]}}
  - {name: c, when: pw, get: "/${env:NEEDS_NOT}"}
  - {name: d, get: /, headers: {X-Pin: {secret: true, value: "${file:pin}"}}}
  - {name: e, get: /, headers: {X-Slow: {secret: true, value: "${cmd:[sleep, 100]}"}}}
cleanup: [{name: bye, get: "/${env:NEEDS_BYE}"}]
"""
NAMES = {"PW", "TREE", "HEADER", "PATH", "EXPECT", "JSON", "BYE"}


def test_everything_that_a_journey_reads_is_found(tmp_path: Path) -> None:
    journey = only(declare(tmp_path, WIDE))
    found = {secret.reference for secret in references(journey)}
    assert found >= {f"${{env:NEEDS_{name}}}" for name in NAMES}
    assert "${env:NEEDS_NOT}" not in found  # whether it is needed, a condition says


def test_each_missing_one_is_told_once_and_commands_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey = only(declare(tmp_path, WIDE))
    said = missing([journey, journey])
    assert len(said) == len(NAMES) + 1
    assert "environment variable NEEDS_PW is not set; export it" in said
    for name in NAMES:
        monkeypatch.setenv(f"NEEDS_{name}", "x")
    (file,) = missing([journey])
    assert "cannot read the secret file" in file
    (tmp_path / "pin").write_text("1234\n")
    assert missing([journey]) == []
