"""Does the loop close: damage, alert, runbook, restore, and a shop that sells again?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sre.core.clock import Clock, SystemClock
from sre.demo.act import Act, Teller
from sre.demo.ports import HOST, free_port
from sre.demo.stage import Stage, as_owner
from sre.demo.story import probes
from sre.demo.watch import Watch

__all__ = ["Numbers", "loop_acts"]

_BASELINE = 12
_PATIENCE = 60.0


@dataclass
class Numbers:
    """What the loop is measured by; seconds, None until known.

    Attributes:
        detection: from the damage to the alert.
        rto: from the damage to a checkout that works again.
        rpo: from the moment that the backup holds to the damage: what was sold then is lost.
        restore_rto: what the verification measured beforehand for a restore alone.
    """

    damaged_at: float | None = None
    detection: float | None = None
    rto: float | None = None
    rpo: float | None = None
    restore_rto: float | None = None


def loop_acts(
    stage: Stage,
    watch: Watch,
    numbers: Numbers,
    say: Callable[[str], None],
    clock: Clock | None = None,
) -> Iterator[Act]:
    """Verify the backup, damage the orders, wait for the alert, follow the runbook, look again."""
    teller = Teller(stage, say, clock or SystemClock())
    yield _verify(teller, numbers)
    say("customers buy for a while, so that there is something to compare with")
    watch.wait_for_good(_BASELINE, _PATIENCE)
    yield _damage_and_alert(teller, watch, numbers)
    yield _runbook(teller)
    yield _green(teller, watch, numbers)


def _verify(teller: Teller, numbers: Numbers) -> Act:
    def lines(data: dict[str, Any]) -> Iterator[str]:
        numbers.restore_rto = data["rto_seconds"]
        kept = sum(bool(each["passed"]) for each in data["invariants"])
        yield f"restored into a scratch server in {data['rto_seconds']:.1f} s"
        yield f"{kept} of {len(data['invariants'])} invariants of the business hold in the copy"

    title = "The backup counts only once it was really restored"
    return teller.play(title, ["backup", "verify", "orders", "--level", "3"], 0, lines)


def _damage_and_alert(teller: Teller, watch: Watch, numbers: Numbers) -> Act:
    teller.say("an operator's mistake: the orders are gone; waiting for the alert")
    _damage(teller.stage)
    began = time.monotonic()
    numbers.damaged_at = time.time()
    alerts: list[str] = []
    while not alerts and time.monotonic() < began + _PATIENCE:
        time.sleep(0.5)
        alerts = watch.alerts.firing()
    seconds = time.monotonic() - began
    numbers.detection = seconds if alerts else None
    good, bad = watch.look()
    lines = [f"{bad} of {good + bad} purchases failed so far"]
    if alerts:
        lines.insert(0, f"pages after {seconds:.1f} s: {', '.join(alerts)}")
        lines.append(f"evaluated by {watch.alerts.name}, with the windows of production")
    command = f"sre probe serve   (status page: {watch.url}/)"
    title = "Order data is damaged; the error budget burns and the alert fires"
    return Act(title, command, 0, 0 if alerts else 1, seconds, tuple(lines))


def _damage(stage: Stage) -> None:
    """What an operator's mistake does: the orders are gone, their lines are not."""
    import psycopg  # noqa: PLC0415  only here

    with psycopg.connect(stage.postgres.dsn, autocommit=True) as connection:
        connection.execute("set lock_timeout = '10s'")
        connection.execute("set session_replication_role = replica")
        connection.execute("delete from orders")
        connection.execute("alter table orders rename to orders_gone")


def _runbook(teller: Teller) -> Act:
    values = _variables(teller.stage)
    given = [word for name, value in values.items() for word in ("--var", f"{name}={value}")]
    words = ["runbook", "run", "restore-order-database", "--rehearse"]

    def lines(data: dict[str, Any]) -> Iterator[str]:
        done = [row for row in data["blocks"] if row["outcome"] == "ok"]
        yield f"{data['result']}: {len(done)} blocks run, each in the journal"

    title = "The alert links to a runbook; it is followed in rehearsal mode and restores"
    shown = [*words, "--var", "TARGET=demo", "…"]
    env = {"PGPASSWORD": teller.stage.postgres.password}
    return teller.play(title, [*words, *given], 0, lines, env=env, shown=shown)


def _variables(stage: Stage) -> dict[str, str]:
    """What makes the runbook fit a server without systemd."""
    root = os.geteuid() == 0
    return {
        "TARGET": "demo",
        "MODE": "local",
        "PGHOST": HOST,
        "PGUSER": "postgres",
        "PGDATABASE": "postgres",
        "PORT": str(stage.postgres.port),
        "SIDE_PORT": str(free_port()),
        "DATA_DIR": str(stage.postgres.data_dir),
        "RESTORE_DIR": str(stage.postgres.folder / "restored"),
        "BIN_DIR": str(stage.postgres.bin_dir),
        "AS": " ".join(as_owner()),
        "OWNER": "65534" if root else str(os.geteuid()),
        "CONFIG": str(stage.config.resolve()),
    }


def _green(teller: Teller, watch: Watch, numbers: Numbers) -> Act:
    act = probes(teller, "The probe is green: the shop sells again", ["checkout"], 0)
    watch.look()
    if act.as_planned and numbers.damaged_at is not None:
        numbers.rto = time.time() - numbers.damaged_at
        numbers.rpo = _lost(teller, numbers.damaged_at)
    return act


def _lost(teller: Teller, damaged_at: float) -> float | None:
    listed = teller.play("", ["backup", "list"], 0, lambda _data: iter(()))
    backups = listed.data.get("backups") or []
    if not backups:
        return None
    finished = backups[-1]["finished"]
    moment = datetime.fromisoformat(finished) if isinstance(finished, str) else None
    return damaged_at - (moment.timestamp() if moment else float(finished))
