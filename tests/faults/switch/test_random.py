"""Whatever breaks, and whenever: is nothing lost, nobody primary twice, and every end told truly?

SRE_SWITCH_RUNS=200 pytest tests/faults/switch/test_random.py -m long -s   # SRE_SWITCH_SEED: first

Commits wait for one of the others. Every tenth run is the control: nobody waits, log is held back,
and acknowledged writes must be seen to be lost, or "0 lost" proves nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.switch.stage import battle, checks, heal, only, quick
from tests.faults.switch.storm import Storm
from tests.servers.pgset import PgSet

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

RUNS = int(os.environ.get("SRE_SWITCH_RUNS", "200"))
FIRST = int(os.environ.get("SRE_SWITCH_SEED", "1000"))
NAMES = "ANY 1 (a, b, c)"
RULE = "alter system set synchronous_standby_names = '{}'"


@pytest.fixture(scope="module")
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as found:
        yield found


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    """What all runs came to; printed at the end."""
    found: Counter[str] = Counter()
    began = time.monotonic()
    yield found
    print(f"\n{sum(found.values())} runs in {time.monotonic() - began:.0f} s:")
    for word, number in sorted(found.items()):
        print(f"  {number:4} {word}")


@pytest.fixture
def whole(one_set: PgSet) -> PgSet:
    heal(one_set, front=True)
    one_set.declare()
    return one_set


def run(
    seed: int, pgset: PgSet, folder: Path, stack: contextlib.ExitStack, tally: Counter[str]
) -> None:
    if seed % 10 == 0:
        lost = control(pgset, folder)
        tally["control: acknowledged writes were lost, as they must"] += 1
        print(f"\nseed {seed}: control: {lost} lost", end=" ")
        return
    storm = Storm(seed, pgset, folder, stack)
    began = time.monotonic()
    try:
        storm.blow()
    finally:
        tally[f"{storm.action}: {storm.said.get('outcome') or storm.code}"] += 1
        print(f"\n{storm} ({time.monotonic() - began:.1f} s)", end=" ")


def control(pgset: PgSet, folder: Path) -> int:
    """Without synchronous standbys, log that was not sent is lost. How many writes."""
    ruled(pgset, "")
    old = only(pgset)
    with battle(pgset, folder, rate=800.0) as field:
        senders = [row[0] for row in pgset[old].sql("select pid from pg_stat_replication")]
        for pid in senders:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        pgset[old].kill()
        code, said = quick(pgset, "failover", "orders")
        assert (code, checks(said)) == (5, {"data-loss"}), said
        code, said = quick(pgset, "failover", "orders", "--accept-data-loss", "the control")
        assert (code, said["outcome"]) == (0, "ok"), said
        assert said["loss"], said
        time.sleep(0.2)
        report = field.stop()
    assert report.verdict is not None, report.unread
    assert report.verdict.lost > 0, f"the control lost nothing: {report.counts}"
    assert field.watch.two() == ""
    heal(pgset)
    ruled(pgset, NAMES)
    return report.verdict.lost


def ruled(pgset: PgSet, names: str) -> None:
    for node in pgset.nodes.values():
        node.sql(RULE.format(names))
        node.sql("select pg_reload_conf()")
    heal(pgset)


@pytest.mark.parametrize("seed", [10, 12, 17, 18, 25, 32])
def test_a_few_runs(
    seed: int, whole: PgSet, tmp_path: Path, stack: contextlib.ExitStack, tally: Counter[str]
) -> None:
    run(seed, whole, tmp_path, stack, tally)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_random_runs(
    seed: int, whole: PgSet, tmp_path: Path, stack: contextlib.ExitStack, tally: Counter[str]
) -> None:
    run(seed, whole, tmp_path, stack, tally)
