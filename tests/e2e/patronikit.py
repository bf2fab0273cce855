"""What do tests on a real Patroni cluster share: writers, its own switchover, ways to end it?"""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import threading
import time
from typing import Any

import psycopg

from tests.servers.net import wait_until
from tests.servers.patroni import PatroniSet

__all__ = ["Writing", "checks", "made_whole", "patronictl", "scripts", "seen", "sync_of"]


def made_whole(patroni: PatroniSet) -> None:
    """Whatever the test before left: everybody runs and streams, with the usual declaration."""
    for each in patroni.members.values():
        each.signal(signal.SIGCONT)
        if not each.patronis():
            each.start()
    first = next(iter(patroni.members.values()))
    wait_until(lambda: first.patch(pause=None, synchronous_mode=True), 30, "Patroni")
    patroni.declare()
    patroni.sre("resume", "--abandon", "the test before left it")
    patroni.whole()


class Writing:
    """Eight writers through the front door; what was acknowledged, and the longest time without."""

    def __init__(self, cluster: PatroniSet, writers: int = 8) -> None:
        self._dsn, self._stop = cluster.dsn, threading.Event()
        self._at: list[float] = []
        self.acknowledged: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(writers)]

    def _run(self, number: int) -> None:
        count = 0
        while not self._stop.is_set():
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection,
            ):
                while not self._stop.is_set():
                    count += 1
                    key = f"{number}-{count}-{id(self)}"
                    connection.execute("insert into kept values (%s)", [key])
                    self.acknowledged.append(key)
                    self._at.append(time.monotonic())
                    self._stop.wait(0.03)
            self._stop.wait(0.005)

    def __enter__(self) -> Writing:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("create table if not exists kept (key text primary key)")
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.acknowledged) > 40, 20, "writes")
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            before = len(self.acknowledged)
            wait_until(lambda: len(self.acknowledged) > before + 20, 30, "writes go on")
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def gap(self) -> float:
        times = sorted(self._at)
        return max(after - before for before, after in itertools.pairwise(times))

    def lost(self, name: str, cluster: PatroniSet) -> set[str]:
        return set(self.acknowledged) - {row[0] for row in cluster[name].sql("select * from kept")}


def seen(cluster: PatroniSet, *names: str) -> list[dict[str, Any]]:
    """The nodes as `status` says."""
    _, document = cluster.sre("status")
    nodes = {each["name"]: each for each in document["clusters"][0]["nodes"]}
    return [nodes[name] for name in names]


def sync_of(cluster: PatroniSet) -> str:
    return next(name for name, row in cluster.cluster().items() if row["role"] == "sync_standby")


def checks(document: Any) -> set[str]:
    return {each["check"] for each in document["reasons"]}


def patronictl(cluster: PatroniSet, leader: str, candidate: str) -> None:
    """Patroni's own way."""
    config = cluster[leader].folder / "patroni.yml"
    argv = ["patronictl", "-c", str(config), "switchover", cluster.scope, "--force"]
    argv += ["--master", leader, "--candidate", candidate]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until(lambda: cluster.leader() == candidate and cluster.through(), 20, "patronictl")


def scripts(cluster: PatroniSet, name: str) -> dict[str, str]:
    """How Patroni of a node is ended and started, without a unit: there is no systemd here."""
    yml = cluster[name].folder / "patroni.yml"
    end = f"for f in /proc/[0-9]*; do tr '\\0' ' ' <$f/cmdline | grep -q '^[^ ]*python.* {yml} $'"
    away = cluster.home / f"away-{name}"  # it has left our process group, which may be ended
    cluster.home.chmod(0o777)
    begin = (
        f"rm -f {away}; setsid sh -c ': >{away}; exec patroni {yml}' >/dev/null 2>&1 </dev/null &"
    )
    begin += f"\nuntil [ -e {away} ]; do sleep 0.02; done"
    stop, start = cluster.home / f"stop-{name}", cluster.home / f"start-{name}"
    stop.write_text(f"#!/bin/sh\n{end} && kill -9 ${{f#/proc/}}; done 2>/dev/null; exit 0\n")
    start.write_text(f"#!/bin/sh\n{begin}\n")
    for each in (stop, start):
        each.chmod(0o755)
    return {f"{name}__stop": f"[{stop}]", f"{name}__start": f"[{start}]"}
