"""Where do clusters lose their primary side by side? Real sets behind HAProxy, clients that write.

Clients are `sre ledger write` in a process of their own: eight at 200 writes a second together,
anew for each round. What they were promised is read back once all rounds of a set are over, so
that no later round may have lost what an earlier one kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.sql.ledger.model import Plan
from sre.sql.ledger.process import LedgerProcess
from sre.sql.ledger.record import read_lines
from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until
from tests.servers.patroni import PatroniSet, running_patroni
from tests.servers.pgset import PgSet

__all__ = [
    "Clients",
    "Fault",
    "Found",
    "Round",
    "bring_back",
    "lose",
    "patroni",
    "patroni_switches",
    "talk",
    "we_switch",
]

WRITERS, RATE = 8, 200.0
PLACE = os.environ.get("BENCH_FOLDER") or "/var/tmp"
"""Where PostgreSQL's data lie, ours and Patroni's: on a disk, for commits to wait for it."""
_CALM = 0.7
_INTERVAL = ("inter 100ms fall 2 rise 1", "inter 500ms fall 2")
"""Of HAProxy's checks: the tests' own, and what people have who run Patroni."""


@dataclass(frozen=True)
class Fault:
    """What a round did: when it began (monotonic seconds), and how long its phases took."""

    at: float
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """What clients saw of it.

    Attributes:
        gap: seconds of the longest time without an acknowledged write since the fault.
        after: seconds from the fault to the first acknowledged write after that time.
        errors: writes that ended in any other way than acknowledged.
    """

    gap: float
    after: float
    errors: int
    acknowledged: int
    phases: Mapping[str, float]


class Found(list[Round]):
    """Rounds of one kind, and what reading back has shown."""

    lost = 0

    def median(self, of: str) -> float:
        return statistics.median(float(getattr(each, of)) for each in self)

    def phases(self) -> str:
        """The median of each phase in milliseconds."""
        names = [name for name in self[0].phases if name != "total"]
        found = [
            (name, 1000 * statistics.median(each.phases.get(name, 0.0) for each in self))
            for name in names
        ]
        return ", ".join(f"{name} {spent:.0f}" for name, spent in found)


class Clients:
    """Who writes through one front door, round after round; a context manager that reads back."""

    def __init__(self, dsn: str, folder: Path, found: Found) -> None:
        self._dsn, self._folder, self._found = Secret.literal(dsn), folder, found
        self._ledgers: list[LedgerProcess] = []

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._read_back()

    def round(self, fault: Callable[[], Fault]) -> None:
        """Write, do it, write until all is well again."""
        plan = Plan(table="sre_ledger", writers=WRITERS, rate=RATE)
        ledger = LedgerProcess(self._dsn, self._folder / f"ledger-{len(self._ledgers)}", plan)
        self._ledgers.append(ledger)
        with ledger:
            ledger.ready(Deadline.after(30))
            time.sleep(_CALM)
            done = fault()
            _flows(ledger)
        report = ledger.result(since=done.at)
        gap, counts = report.gaps.since, report.counts
        if gap is None or gap.edge:
            raise SystemExit("clients never wrote before, or never wrote again")
        self._found.append(
            Round(gap.seconds, gap.ended - done.at, counts.failed + counts.ambiguous,
                  counts.acknowledged, done.phases)
        )  # fmt: skip

    def _read_back(self) -> None:
        for ledger in self._ledgers:
            report = ledger.verify(Deadline.after(60))
            verdict = report.verdict
            if verdict is None or verdict.unexpected or verdict.duplicates:
                raise SystemExit(f"not read back, or not what was written: {report}")
            self._found.lost += verdict.lost


def _flows(ledger: LedgerProcess) -> None:
    """A second's worth of writes is acknowledged, begun after now."""
    since = round(time.monotonic() * 1_000_000)

    def enough() -> bool:
        lines = (each for each in read_lines(ledger.folder) if isinstance(each, tuple))
        return sum(each[0] == "a" and each[3] > since for each in lines) >= RATE

    wait_until(enough, 90, "clients write again")


def we_switch(found: Any, cluster: str, *, env: Mapping[str, str] | None = None) -> Fault:
    """`sre failover switchover` of a set, as a program."""
    (old,) = found.primaries()
    at = time.monotonic()
    said = _sre(found, "switchover", cluster, "--confirm", old, env=env)
    return Fault(at, json.loads(said)["phases"])


def _argv(found: Any, *args: str) -> list[str]:
    ours = [sys.executable, "-m", "sre", "failover"]
    return [*ours, *args, "--format", "json", "--config", str(found.config)]


def _sre(found: Any, *args: str, env: Mapping[str, str] | None = None) -> str:
    """What `sre failover ARGS…` answers, as a program. Raises SystemExit."""
    done = subprocess.run(
        _argv(found, *args), env={**os.environ, **found.env, **(env or {})}, capture_output=True,
        text=True, timeout=110, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        words = f"{done.stdout} {done.stderr}"
        raise SystemExit(f"sre failover {' '.join(args)} ended with {done.returncode}: {words}")
    return done.stdout


def lose(pgset: PgSet, which: signal.Signals) -> Fault:
    """The primary's whole node is killed or frozen while `sre failover watch` looks."""
    (old,) = pgset.primaries()
    with _watching(pgset) as watch:
        pids = pgset[old].pids()
        at = time.monotonic()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)
        pgset[old].signal(which)  # whoever was just being born
        said, complaint = watch.communicate(timeout=90)
    if watch.returncode != 0:
        raise SystemExit(f"sre failover watch ended with {watch.returncode}: {said} {complaint}")
    return Fault(at, json.loads(said)["phases"])


@contextlib.contextmanager
def _watching(pgset: PgSet) -> Iterator[subprocess.Popen[str]]:
    looked = pgset.home / "watch.prom"
    looked.unlink(missing_ok=True)
    argv = _argv(
        pgset, "watch", "orders", "--once", "--confirm-with", "true", "--metrics-file", str(looked)
    )
    process = subprocess.Popen(
        argv, env={**os.environ, **pgset.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        wait_until(looked.exists, 30, "the watch looks")
        time.sleep(_CALM)
        yield process
    finally:
        process.kill()
        process.wait()


def bring_back(pgset: PgSet, old: str) -> None:
    """The lost node follows again, and another failover may come."""
    _sre(pgset, "rejoin", "orders", old)
    _sre(pgset, "ack", "orders")
    pgset.whole(pgset.primaries()[0])


@contextlib.contextmanager
def patroni() -> Iterator[PatroniSet]:
    """Patroni as Debian has it, its own defaults, synchronous; HAProxy asks every 500 ms."""
    with running_patroni(loop_wait=10, ttl=30, place=PLACE) as found:
        found[found.leader()].patch(retry_timeout=10)
        port, sock = free_port(), found.home / "front.sock"
        text = (found.home / "haproxy.cfg").read_text()
        for before, after in (
            _INTERVAL, (str(found.socket), str(sock)), (f":{found.front}\n", f":{port}\n"),
        ):  # fmt: skip
            if before not in text:
                raise SystemExit(f"HAProxy's file before Patroni has no {before!r}")
            text = text.replace(before, after)
        config = found.home / "front.cfg"
        config.write_text(text)
        with child([program("haproxy"), "-W", "-db", "-f", str(config)], home=found.home / "front"):
            wait_until(sock.exists, 10, "HAProxy")
            wait_until(lambda: _up(sock) == 1, 20, "one server that HAProxy has found to lead")
            for name in found.members:  # the tests' own asks nobody any more
                talk(found.socket, f"disable health pg/{name}")
            found.front, found.socket = port, sock
            found.whole()
            yield found


def _up(sock: Path) -> int:
    """Servers that it sends work to; at its start all, until each was asked."""
    rows = (line.split(",") for line in talk(sock, "show stat").splitlines())
    of_servers = [row for row in rows if row[0] == "pg" and row[1] not in ("FRONTEND", "BACKEND")]
    return sum(row[17].startswith("UP") for row in of_servers)


def patroni_switches(found: PatroniSet) -> Fault:
    """POST /switchover, as `patronictl switchover` does."""
    old = found.leader()
    (new,) = (name for name, row in found.cluster().items() if row["role"] == "sync_standby")
    body = {"leader": old, "candidate": new}
    at = time.monotonic()
    url, who = f"{found[old].url}/switchover", found[old].auth
    answer = requests.post(url, json=body, auth=who, timeout=60)
    if answer.status_code != 200:
        raise SystemExit(f"Patroni did not switch over: {answer.status_code} {answer.text}")
    return Fault(at)


def talk(sock: Path, words: str) -> str:
    """What HAProxy answers."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(5)
        made.connect(str(sock))
        made.sendall(f"{words}\n".encode())
        return made.makefile().read()
