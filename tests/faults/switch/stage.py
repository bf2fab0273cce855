"""How is a set broken while clients write, judged afterwards, and made whole as a person would?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from click.testing import CliRunner

from sre.cli.main import cli
from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.failover.control.local import LocalControl
from sre.sql.ledger.model import Plan, Report
from sre.sql.ledger.process import LedgerProcess
from tests.faults.switch.watch import Watch
from tests.servers.child import child, program
from tests.servers.net import wait_until
from tests.servers.pgset import PgSet

__all__ = [
    "Battle", "answers", "as_wanted", "battle", "checks", "haproxy_says", "heal", "only", "others",
    "quick", "reload_haproxy", "restarted_haproxy", "start_by_hand", "states",
]  # fmt: skip


def quick(pgset: PgSet, *args: str) -> tuple[int, Any]:
    """`sre failover …` in this process, for what is no subject of the test itself."""
    words = ["failover", *args, "--config", str(pgset.config), "--format", "json"]
    done = CliRunner().invoke(cli, words, env=pgset.env, standalone_mode=False)
    code = done.return_value if isinstance(done.return_value, int) else 0
    if done.exception is not None:
        code = getattr(done.exception, "exit_code", 70)
    try:
        return code, json.loads(done.stdout)
    except ValueError:
        return code, {"outcome": "", "text": f"{done.output} {done.exception}"}


def states(pgset: PgSet) -> dict[str, str]:
    """What the runtime API and the file say of each server: `open/open`."""
    status = quick(pgset, "status")[1]["clusters"][0]
    return {k: "/".join(v) for k, v in status["more"]["states"]["front"].items()}


def only(pgset: PgSet) -> str:
    (found,) = pgset.primaries()
    return found


def others(pgset: PgSet, but: str) -> list[str]:
    return sorted(set(pgset.nodes) - {but})


def checks(said: Any) -> set[str]:
    return {each["check"] for each in said["reasons"]}


@dataclass
class Battle:
    """Clients write through the front door, and somebody watches who is primary."""

    pgset: PgSet
    ledger: LedgerProcess
    watch: Watch

    def stop(self) -> Report:
        """Read back what was acknowledged."""
        self.ledger.stop()
        return self.ledger.verify(Deadline.after(30))

    def proven(self, *, least: int = 50) -> Report:
        """Nothing acknowledged is lost, never were there two, and there was something to lose."""
        report = self.stop()
        verdict = report.verdict
        assert verdict is not None, report.unread
        assert (verdict.lost, verdict.unexpected, verdict.duplicates) == (0, 0, 0), verdict
        assert report.counts.acknowledged >= least, report.counts
        assert self.watch.two() == ""
        assert self.watch.was_primary(), "the watch saw nobody"
        return report


@contextlib.contextmanager
def battle(
    pgset: PgSet, folder: Path, *, rate: float = 300.0, writers: int = 8, deadline: float = 2.0
) -> Iterator[Battle]:
    """Begins once the first write was acknowledged."""
    code, said = quick(pgset, "status")
    assert code == 0, said  # as a monitor does: the tool has seen the rule
    plan = Plan(table="sre_ledger", writers=writers, rate=rate, deadline=deadline)
    dsn = Secret.literal(pgset.dsn)
    with Watch(pgset) as watch, LedgerProcess(dsn, folder / "ledger", plan) as ledger:
        ledger.ready(Deadline.after(20))
        time.sleep(0.3)
        yield Battle(pgset, ledger, watch)


def as_wanted(pgset: PgSet, new: str) -> None:
    """One primary, everybody follows it, traffic goes to it alone at run time and in the file."""
    assert pgset.primaries() == [new]
    pgset.whole(new)
    wanted = {name: "open/open" if name == new else "closed/closed" for name in pgset.nodes}
    assert states(pgset) == wanted
    rows = pgset[new].sql("select sync_state from pg_stat_replication")
    assert {row[0] for row in rows} == {"quorum"}
    for node in pgset.nodes.values():
        assert node.sql("show wal_retrieve_retry_interval") == [("5s",)]


def start_by_hand(pgset: PgSet, name: str) -> bool:
    """Past everything of ours: as somebody does who knows nothing of what goes on.

    Whether it came up: a standby whose history parted from its primary's ends by itself.
    """
    node = pgset[name]
    argv = [
        str(node.programs / "pg_ctl"), "-D", str(node.data), "-l", f"{node.data}.log",
        "-w", "-t", "30", "start",
    ]  # fmt: skip
    return LocalControl().run(node.service, argv, Deadline.after(40)).ok


def answers(pgset: PgSet, name: str) -> bool:
    try:
        pgset[name].sql("select 1")
    except psycopg.Error:
        return False
    return True


def haproxy_says(pgset: PgSet, words: str) -> str:
    with socket.socket(socket.AF_UNIX) as talk:
        talk.settimeout(5)
        talk.connect(str(pgset.socket))
        talk.sendall(f"{words}\n".encode())
        return talk.makefile().read()


def _worker(pgset: PgSet) -> str:
    lines = haproxy_says(pgset, "show info").splitlines()
    return next(line for line in lines if line.startswith("Pid:"))


def reload_haproxy(pgset: PgSet) -> None:
    """It reads its file again; returns once the new worker answers."""
    before = _worker(pgset)
    os.kill(pgset.proxy, signal.SIGUSR2)
    wait_until(lambda: _worker(pgset) != before, 10, "HAProxy's new worker")


@contextlib.contextmanager
def restarted_haproxy(pgset: PgSet) -> Iterator[None]:
    """kill -9 to all of it; what runs then knows its file alone. Ends with the context."""
    worker = int(_worker(pgset).split()[1])
    for pid in (pgset.proxy, worker):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    argv = [program("haproxy"), "-W", "-db", "-f", str(pgset.haproxy)]
    with child(argv, home=pgset.home / "proxy") as process:
        wait_until(lambda: _worker(pgset), 10, "HAProxy again")
        pgset.proxy = process.pid
        yield


def heal(pgset: PgSet, *, front: bool = False) -> str:
    """Every fault ends, and somebody does what the tool says, to the end. Who is primary then.

    `front`: the switch may have come up anew with an old file once the tool had ended.
    """
    for node in pgset.nodes.values():
        node.signal(signal.SIGCONT)
        with contextlib.suppress(psycopg.Error):
            node.sql("select pg_wal_replay_resume()")
    for name, node in pgset.nodes.items():
        standby = (node.data / "standby.signal").exists()
        if standby and not (node.data / "sre-fenced").exists():
            _back(pgset, name)
    _finish(pgset)
    if not pgset.primaries():
        _promote(pgset)
    wait_until(lambda: len(pgset.primaries()) == 1, 10, "one primary")
    primary = only(pgset)
    for name in others(pgset, primary):
        if name not in pgset.standbys(primary):
            code, said = quick(pgset, "rejoin", "orders", name)
            assert (code, said["outcome"]) == (0, "ok"), said
    quick(pgset, "ack")
    if front and states(pgset)[primary] != "open/open":
        words = ["traffic", "repoint", "front", primary, "--config", str(pgset.config)]
        assert CliRunner().invoke(cli, words, env=pgset.env).exit_code == 0
    pgset.whole(primary)
    return primary


def _back(pgset: PgSet, name: str) -> None:
    """Where its history has parted, it does not come back: `rejoin` mends that."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: answers(pgset, name) or start_by_hand(pgset, name), 20, "its return")


def _finish(pgset: PgSet) -> None:
    """Go on; where it says that it must not, take it back; where that is too late, give it up."""
    for words in ((), (), ("--rollback",), ("--abandon", "it cannot go on")):
        code, said = quick(pgset, "resume", "orders", *words)
        if code not in (0, 2):
            print(f"[resume {words}: {code} {said.get('outcome')} {said.get('reasons')}]", end=" ")
        if code == 2 or said["outcome"] in ("ok", "rolled_back", "abandoned"):
            return
        new = str(said.get("new") or "")
        if new and not pgset[new].pids():  # the tool says: start it, then resume
            _back(pgset, new)
    raise AssertionError(said)


def _promote(pgset: PgSet) -> None:
    """Nobody is primary: as the tool proposes, else the old one is started again."""
    quick(pgset, "ack")
    code, said = quick(pgset, "failover", "orders")
    if code == 0:
        return
    print(f"[failover: {code} {said.get('outcome')} {said.get('reasons')}]", end=" ")
    assert code == 5, said
    for name, node in pgset.nodes.items():
        if not (node.data / "standby.signal").exists() and not node.pids():
            _back(pgset, name)
    wait_until(lambda: pgset.primaries(), 20, "a primary")
