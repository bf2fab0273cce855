"""What if a machine's clock is wrong? (row 14; the store's clock is the one that is right)"""

from __future__ import annotations

import dataclasses
import random
from datetime import UTC, datetime

import pytest

from sre.backup.job import Job
from sre.backup.model import Tier
from sre.backup.pruning.prune import blocked, prune
from sre.backup.runner import run_backup
from sre.backup.tier import Keep
from sre.core.clock import SystemClock
from tests.faults.ground import Ground

HOUR, DAY = 3600.0, 86400.0
YEARS = 3652 * DAY


class Wrong(SystemClock):
    """A clock that is off; `steps` seconds are added at each look (a step in mid-backup)."""

    def __init__(self, off: float, steps: tuple[float, ...] = ()) -> None:
        self.off, self._steps = off, list(steps)

    def wall(self) -> float:
        if self._steps:
            self.off += self._steps.pop(0)
        return super().wall() + self.off


def wrong(ground: Ground, off: float, *steps: float, state: str = "state") -> Job:
    job = ground.job(bad=False, state=state)
    return dataclasses.replace(job, clock=Wrong(off, steps))


@pytest.mark.parametrize("off", [-DAY, YEARS])
def test_whoever_s_clock_is_off_the_backup_is_good(ground: Ground, off: float) -> None:
    """Leases are judged by the store's clock, so that nobody is kept out, or let in."""
    made = run_backup(wrong(ground, off, state="elsewhere"), "orders").id
    after = ground.run(bad=False)
    assert sorted(ground.listed()) == sorted([made, after])
    ground.restores(made, after)


def test_a_clock_that_steps_in_mid_backup(ground: Ground) -> None:
    """Forwards and back: what the manifest promises is not negative, the backup restores."""
    steps = [random.Random(1).choice([0, HOUR, -HOUR, DAY, -DAY]) for _ in range(40)]
    made = run_backup(wrong(ground, 0.0, *steps), "orders")
    ground.restores(made.id)
    assert ground.passes(made.id)


def test_ids_of_the_hour_that_comes_twice(ground: Ground) -> None:
    """The end of summer time is nothing to UTC; a clock set back makes ids that still differ."""
    made = [run_backup(wrong(ground, -HOUR if n else 0.0), "orders").id for n in range(2)]
    assert len(set(made)) == 2
    assert sorted(ground.listed()) == sorted(made)


@pytest.mark.parametrize("off", [301.0, -DAY])
def test_retention_refuses_a_wrong_clock(ground: Ground, off: float) -> None:
    """More than five minutes: nothing is deleted, and it says why."""
    ids = [ground.run(bad=False) for _ in range(2)]
    assert ground.passes(ids[1])
    tier = Tier(keep=Keep(last=1, min_verified_fulls=1))
    job = dataclasses.replace(ground.job(bad=False, tier=tier), clock=Wrong(off))
    found = prune(job, ["orders"], confirmed=1)
    assert "clock" in {reason.code for _db, reason in blocked(found)}
    assert ground.listed() == ids


def test_restore_to_latest_is_the_latest_commit(ground: Ground) -> None:
    """A backup made under a clock ten years ahead is not the newest for ten years."""
    ahead = run_backup(wrong(ground, YEARS, state="elsewhere"), "orders").id
    ground.run(bad=False)
    last = ground.run(bad=False)
    assert ahead[:4] > datetime.now(UTC).strftime("%Y")
    assert ground.job(bad=False).find("orders").place.id == last
