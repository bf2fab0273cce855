"""Which orders has a database acknowledged, and when?"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import psycopg

from sre.demo.postgres import EmbeddedPostgres
from sre.sql.model import Invariant

__all__ = ["Ledger"]


class Ledger:
    """Orders that the database has acknowledged: number and moment, as the customer saw it."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server, self.acknowledged = server, list[tuple[int, float]]()
        self._number, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._sell, daemon=True)

    def __enter__(self) -> Ledger:
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            connection.execute("create table ledger (id bigint primary key, note text not null)")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(20)

    def _sell(self) -> None:
        while not self._ended.is_set():
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self.server.dsn, autocommit=True, connect_timeout=2) as connection,
            ):
                self._over(connection)
            self._ended.wait(0.02)

    def _over(self, connection: psycopg.Connection[Any]) -> None:
        while not self._ended.wait(0.002):
            self._number += 1
            note = f"o'rder \u00fc{self._number} " + "x" * 300
            connection.execute("insert into ledger values (%s, %s)", (self._number, note))
            self.acknowledged.append((self._number, time.time()))

    @property
    def number(self) -> int:
        """Of the order that was placed last, acknowledged or not."""
        return self._number

    def invariant(self, moment: float) -> Invariant:
        """Every order acknowledged before a moment is there."""
        known = {number for number, at in list(self.acknowledged) if at < moment}
        last = max(known, default=0)
        gaps = sorted(set(range(1, last + 1)) - known) or [0]
        sql = "select count(*) from ledger where id <= {} and id not in ({})"
        return Invariant("ledger", sql.format(last, ", ".join(map(str, gaps))), equals=len(known))
