"""Does what is restored from the archived log hold exactly the orders that it should?"""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.recovery.target import parse_target
from sre.backup.restoring.restore import Wish, restore_to
from tests.faults.ground import said
from tests.unit.backup.archived import served

if TYPE_CHECKING:
    from tests.faults.storm import Storm

__all__ = ["judge_log"]


def judge_log(storm: Storm) -> None:
    """One of three by chance: the newest, an acknowledged moment, the newest of the copies."""
    upto = storm.archiver.reached(time.time())
    way = storm.chance.choice([newest, moment, copied])
    storm.story.append(f"judged by {way.__name__}")
    named = ""
    try:
        way(storm, upto)
    except Damaged as error:
        named = error.fault.object.rpartition(": ")[2]
    assert not named or storm.was_damaged(named), f"{named} {storm}"
    storm.archiver.judge(damage=bool(storm.damaged))


def newest(storm: Storm, upto: float, job: Job | None = None) -> None:
    """No order is missing that was acknowledged before what the archiver says to have stored."""
    found = orders_of(storm, job or storm.job())
    if found is None:
        return
    wanted = {number for number, at in list(storm.ledger.acknowledged) if at <= upto}
    assert wanted <= found, f"{len(wanted - found)} lost: {sorted(wanted - found)[:5]} {storm}"
    assert found <= set(range(1, storm.ledger.number + 1)), storm


def moment(storm: Storm, upto: float) -> None:
    """Exactly the orders that were acknowledged until then; of those never answered, any."""
    began = min(each.finished for each in list_backups(storm.job(), "orders")[0])
    known = list(storm.ledger.acknowledged)
    last, at = storm.chance.choice([each for each in known if began < each[1] < upto])
    storm.story[-1] += f" {last}"
    found = orders_of(storm, storm.job(), datetime.fromtimestamp(at, UTC).isoformat())
    if found is None:
        return
    wanted = {number for number, _at in known if number <= last}
    answered = {number for number, _at in known}
    assert found & answered == wanted, f"{sorted(found & answered ^ wanted)[:5]} {storm}"
    assert max(found) <= last, storm


def copied(storm: Storm, upto: float) -> None:
    """The second store alone gives the same as the first."""
    done = storm.scene.run("copy", "--format", "json")
    if storm.damaged and done.returncode == 7:
        return  # it is named, and the copy stays what it is
    said(done)
    newest(storm, upto, storm.job().at("second"))


def orders_of(storm: Storm, job: Job, when: str = "") -> set[int] | None:
    """The ids in a copy restored to there; None where damage that we did ended it."""
    target = storm.scratch / "restored"
    wish = Wish(parse_target(at=when) if when else parse_target(latest=True))
    done = restore_to(job, "orders", target, wish=wish)
    try:
        if done.short:
            assert storm.damaged, f"{done} {storm}"
            return None
        return ids_in(storm, target)
    finally:
        shutil.rmtree(target)


def ids_in(storm: Storm, folder: Path) -> set[int]:
    name = psycopg.conninfo.conninfo_to_dict(storm.server.dsn)["dbname"]
    with served(storm.server.bin_dir, folder) as dsn:
        there = psycopg.conninfo.make_conninfo(dsn, dbname=name)
        with psycopg.connect(there) as connection:
            return {row[0] for row in connection.execute("select id from ledger").fetchall()}
