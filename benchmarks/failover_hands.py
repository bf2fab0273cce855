"""What would somebody do by hand, fast and right, to switch Redis or MariaDB behind HAProxy?

The floor that our own switchovers are measured against: connections are open before the gap,
nothing is planned, written down or looked at again.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Any

import pymysql
from failover_bed import Fault, talk

from tests.servers.mariaset import MariaSet
from tests.servers.redisset import RedisSet

__all__ = ["mariadb_by_hand", "redis_by_hand"]


def redis_by_hand(found: RedisSet) -> Fault:
    """Writes wait, the new one has everything, it is promoted, HAProxy turns, the rest follows."""
    (old,) = found.primaries()
    new, third = (name for name in found.nodes if name != old)
    with contextlib.ExitStack() as stack:
        one, two, three = (
            stack.enter_context(contextlib.closing(found[name].client()))
            for name in (old, new, third)
        )
        for each in (one, two, three):
            each.ping()
        at = time.monotonic()
        one.execute_command("CLIENT", "PAUSE", 5000, "WRITE")
        wanted = one.info("replication")["master_repl_offset"]
        while two.info("replication")["slave_repl_offset"] < wanted:
            pass
        two.execute_command("REPLICAOF", "NO", "ONE")
        _turn(found.socket, "red", old, new)
        for each in (three, one):
            each.execute_command("REPLICAOF", "127.0.0.1", found[new].port)
        one.execute_command("CLIENT", "UNPAUSE")
    _write_down(found.haproxy, new)
    found.whole(new)
    return Fault(at)


def mariadb_by_hand(found: MariaSet) -> Fault:
    """A read lock, the new one has everything, it takes writes, HAProxy turns, the rest follows."""
    (old,) = found.primaries()
    new, third = (name for name in found.nodes if name != old)
    with (
        found[old].connect() as one, one.cursor() as before,
        found[new].connect() as two, two.cursor() as after,
    ):  # fmt: skip
        at = time.monotonic()
        before.execute("flush tables with read lock")
        before.execute("select @@global.gtid_binlog_pos")
        after.execute("select master_gtid_wait(%s, 10)", before.fetchone())
        if after.fetchone() != (0,):
            raise SystemExit("by hand: the new MariaDB does not catch up")
        for statement in (
            "stop slave", "reset slave all", "set global rpl_semi_sync_master_timeout = 3600000",
            "set global rpl_semi_sync_master_enabled = 1", "set global read_only = 0",
        ):  # fmt: skip
            after.execute(statement)
        _turn(found.socket, "my", old, new)
        found.follow(third, new)
        before.execute("set global rpl_semi_sync_master_enabled = 0")
        before.execute("set global read_only = 1")
        _send_away(before)
        before.execute("unlock tables")
        before.execute("set global gtid_slave_pos = @@global.gtid_binlog_pos")
    found.follow(old, new)
    _write_down(found.haproxy, new)
    found.whole(new)
    return Fault(at)


def _send_away(cursor: Any) -> None:
    """Writes that wait for the lock would be done at its end, by clients who are long gone."""
    cursor.execute(
        "select id from information_schema.processlist "
        "where user = 'root' and id <> connection_id()"
    )
    for (session,) in cursor.fetchall():
        with contextlib.suppress(pymysql.err.OperationalError):
            cursor.execute("kill %s", (session,))


def _turn(sock: Path, backend: str, old: str, new: str) -> None:
    for words in (
        f"set server {backend}/{old} state maint",
        f"set server {backend}/{new} state ready",
        f"shutdown sessions server {backend}/{old}",
    ):
        talk(sock, words)


def _write_down(config: Path, new: str) -> None:
    """HAProxy's file says the same, for whoever comes next."""
    lines = []
    for line in config.read_text().splitlines():
        server = re.match(r"\s+server (\S+) ", line)
        word = " disabled" if server and server[1] != new else ""
        lines.append((line.removesuffix(" disabled") if server else line) + word)
    config.write_text("\n".join(lines) + "\n")
