"""Is a budget of orders kept over a restart, a reload, a crash, and beside other processes?"""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from sre.core.clock import FakeClock
from sre.probes.budgets import Budgets
from sre.probes.record import Record
from sre.probes.scheduler import Scheduler
from sre.probes.spending import Ledger
from tests.servers.net import wait_until
from tests.unit.probes.stubs import check, good, plan

HOUR = 3600.0
ORDERS = check("orders", good, 0.1, budget=3 / 3600)


def budgets(folder: Path, clock: FakeClock) -> Budgets:
    made = Budgets(Ledger(folder, clock))
    made.adopt([ORDERS])
    return made


def test_a_restart_does_not_refill_it(tmp_path: Path) -> None:
    clock = FakeClock(1_795_000_000.0)
    for _ in range(3):
        assert budgets(tmp_path, clock).spend("orders", clock.now())
        clock.advance(60)
    assert not budgets(tmp_path, clock).spend("orders", clock.now())
    clock.advance(HOUR - 180)
    assert budgets(tmp_path, clock).spend("orders", clock.now()), "the first one is an hour old"
    assert not budgets(tmp_path, clock).spend("orders", clock.now())


def test_a_reload_that_forgets_the_probe_does_not_refill_it(tmp_path: Path) -> None:
    clock = FakeClock(1_795_000_000.0)
    kept = budgets(tmp_path, clock)
    for _ in range(3):
        assert kept.spend("orders", clock.now())
    kept.adopt([])
    kept.adopt([ORDERS])
    assert not kept.affords("orders", clock.now())
    alone = Budgets()
    alone.adopt([ORDERS])
    assert alone.spend("orders", 1.0)
    alone.adopt([])
    alone.adopt([ORDERS])
    assert alone.spend("orders", 2.0)
    assert alone.spend("orders", 3.0)
    assert not alone.spend("orders", 4.0)


def test_two_probes_of_one_journey_share_it(tmp_path: Path) -> None:
    made = Budgets(Ledger(tmp_path))
    made.adopt([check(n, journey="checkout", budget=2 / 3600) for n in ("a", "b")])
    assert [made.spend(name, 1.0) for name in "abab"] == [True, True, False, False]


def test_a_torn_line_and_a_clock_that_went_back_refill_nothing(tmp_path: Path) -> None:
    clock = FakeClock(1_795_000_000.0)
    kept = budgets(tmp_path, clock)
    for _ in range(3):
        assert kept.spend("orders", clock.now())
    journal = tmp_path / "spent.journal"
    journal.write_text(journal.read_text(encoding="utf-8") + '{"at": 17950', encoding="utf-8")
    earlier = FakeClock(1_795_000_000.0 - 10 * HOUR)
    assert not budgets(tmp_path, earlier).spend("orders", earlier.now())


def test_what_cannot_be_written_down_is_not_run(tmp_path: Path, caplog) -> None:
    if os.geteuid() == 0:
        folder = tmp_path / "file"
        folder.write_text("in the way", encoding="utf-8")
    else:
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o500)
    assert not budgets(folder, FakeClock()).spend("orders", 1.0)
    assert "cannot be kept" in caplog.text


def test_a_long_journal_is_shortened(tmp_path: Path) -> None:
    clock = FakeClock(1_795_000_000.0)
    old = [json.dumps({"at": clock.wall() - 2e5 - n, "spent": "orders"}) for n in range(2000)]
    (tmp_path / "spent.journal").write_text("\n".join(old) + "\n", encoding="utf-8")
    assert budgets(tmp_path, clock).spend("orders", clock.now())
    assert (tmp_path / "spent.journal").stat().st_size < 200


def _spend(folder: str, barrier, wins) -> None:
    made = Budgets(Ledger(Path(folder)))
    made.adopt([ORDERS])
    barrier.wait(20)
    for _ in range(3):
        if made.spend("orders", 1.0):
            with wins.get_lock():
                wins.value += 1


def test_processes_share_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, wins = context.Barrier(3), context.Value("i", 0)
    workers = [
        context.Process(target=_spend, args=(str(tmp_path), barrier, wins)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert wins.value == 3


@pytest.mark.parametrize("restarts", [3])
def test_the_scheduler_never_exceeds_it(restarts: int, tmp_path: Path) -> None:
    import threading

    ran = []
    orders = check("orders", lambda context: ran.append(1) or good(context), 0.1, budget=3 / 3600)
    for _ in range(restarts):
        record = Record()
        scheduler = Scheduler(plan([orders]), record, ledger=Ledger(tmp_path))
        thread = threading.Thread(target=scheduler.run)
        thread.start()
        try:
            wait_until(lambda: skipped(record) >= 1, 10, "a skip")  # noqa: B023
        finally:
            scheduler.stop(2)
            thread.join(5)
    assert len(ran) == 3


def skipped(record: Record) -> int:
    with record.reading() as (probes, _):
        return probes["orders"].skipped["budget"]
