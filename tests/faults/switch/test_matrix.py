"""What if this one thing breaks at this one step, while clients write?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.switch.storm import Storm
from tests.servers.pgset import PgSet

pytestmark = [pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(200)]

CRASH = [
    ("reload", "end promote"), ("reload", "end repoint"), ("reload", "end write"),
    ("restart", "end fence"), ("restart", "end repoint"),
    ("kill-new", "end freeze"), ("kill-new", "begin promote"), ("kill-new", "end promote"),
    ("freeze-new", "end choose"), ("freeze-new", "begin write"),
    ("kill-sibling", "end fence"), ("kill-sibling", "end choose"),
    ("freeze-sibling", "begin freeze"), ("freeze-sibling", "end promote"),
    ("pause-replay", "end choose"), ("by-hand", "begin choose"), ("kill-tool", "end repoint"),
]  # fmt: skip
PLANNED = [
    ("reload", "end stop"), ("reload", "end repoint"), ("restart", "end repoint"),
    ("kill-new", "end stop"), ("kill-new", "begin promote"), ("freeze-new", "begin stop"),
    ("freeze-new", "end verify"), ("kill-sibling", "end prepare"), ("kill-sibling", "end promote"),
    ("freeze-sibling", "begin stop"), ("pause-replay", "end checkpoint"),
    ("cancel-waits", "end checkpoint"), ("cancel-waits", "end write"), ("kill-tool", "end stop"),
    ("clock", "end stop"),
]  # fmt: skip


@pytest.fixture(scope="module")
def stack() -> Iterator[contextlib.ExitStack]:
    """A HAProxy that was started again lives on for the next test."""
    with contextlib.ExitStack() as found:
        yield found


@pytest.mark.parametrize(("middle", "line"), CRASH)
def test_in_a_failover(
    pgset: PgSet, tmp_path: Path, stack: contextlib.ExitStack, middle: str, line: str
) -> None:
    fixed = {"action": "failover", "loss": "crash", "middle": middle, "line": line}
    storm = Storm(1, pgset, tmp_path, stack, waits=True, **fixed)
    storm.blow()
    print(storm)


@pytest.mark.parametrize(("middle", "line"), PLANNED)
def test_in_a_switchover(
    pgset: PgSet, tmp_path: Path, stack: contextlib.ExitStack, middle: str, line: str
) -> None:
    fixed = {"action": "switchover", "loss": "nothing", "middle": middle, "line": line}
    storm = Storm(1, pgset, tmp_path, stack, waits=True, **fixed)
    storm.blow()
    print(storm)
