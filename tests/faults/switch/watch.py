"""Were two nodes ever primary at once? Every node is asked all the time."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.servers.pgset import Node, PgSet

__all__ = ["Watch"]

_EVERY = 0.005
_TEXT = b"select not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off'"


class Watch:
    """A context manager. `seen` has, for each node, when it said that it takes writes.

    Each entry is (asked, answered) on the monotonic clock: at some moment between the two it
    took writes. For one change of the primary, whoever was primary first must never say so to a
    question that was asked after the next one had said it.
    """

    def __init__(self, pgset: PgSet) -> None:
        self.seen: dict[str, list[tuple[float, float]]] = {name: [] for name in pgset.nodes}
        self.asked = 0
        self._ended = threading.Event()
        self._open: dict[str, psycopg.Connection[Any]] = {}
        self._threads = [
            threading.Thread(target=self._ask, args=(node,), daemon=True)
            for node in pgset.nodes.values()
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for connection in list(self._open.values()):  # a frozen server does not answer
            with (
                contextlib.suppress(psycopg.Error, OSError),
                socket.socket(fileno=os.dup(connection.fileno())) as raw,
            ):
                raw.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def two(self) -> str:
        """Who was primary although another one already was; empty: never."""
        first = {name: min(t for _, t in found) for name, found in self.seen.items() if found}
        order = sorted(first, key=first.__getitem__)
        for earlier, later in itertools.pairwise(order):
            late = [asked for asked, _ in self.seen[earlier] if asked > first[later]]
            if late:
                after = max(late) - first[later]
                return f"{earlier} took writes {after:.3f} s after {later} did ({len(late)} times)"
        return ""

    def was_primary(self) -> list[str]:
        """Who took writes at all, in order."""
        found = {name: each[0] for name, each in self.seen.items() if each}
        return sorted(found, key=found.__getitem__)

    def _ask(self, node: Node) -> None:
        while not self._ended.is_set():
            with (
                contextlib.suppress(psycopg.Error, OSError),
                psycopg.connect(node.dsn, autocommit=True, connect_timeout=2) as connection,
            ):
                self._open[node.name] = connection
                self._asking(node.name, connection)
            self._ended.wait(_EVERY)

    def _asking(self, name: str, connection: psycopg.Connection[Any]) -> None:
        while not self._ended.is_set():
            asked = time.monotonic()
            row = connection.execute(_TEXT).fetchone()
            self.asked += 1
            if row and row[0]:
                self.seen[name].append((asked, time.monotonic()))
            self._ended.wait(_EVERY)
