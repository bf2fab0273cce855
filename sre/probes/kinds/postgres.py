"""Is a PostgreSQL healthy: connections, transactions, locks, replication, room?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sre.core.secrets import Secret
from sre.core.units import Duration, Share, Size
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.dsn import dsn_of
from sre.probes.facts import Facts
from sre.probes.model import ProbeContext, Reading
from sre.probes.parts import Found, Measured, Unanswered, judge, measured
from sre.probes.pgfacts import FACTS
from sre.probes.pgreplication import replication_parts
from sre.probes.pgserver import Server, server, session_parts
from sre.probes.pgstatistics import statistics_parts
from sre.probes.pgwire import PgSession, opened

__all__ = ["Limits", "PostgresProbe"]

_SLOW = Duration(5.0)


@dataclass(frozen=True)
class Limits:
    """What may be used, waited for or behind; what is left out is not judged.

    Attributes:
        connections: share of the connections that ordinary users can have.
        transaction: age of the oldest open transaction.
        idle_transaction: longest time in which a client left one open, idle.
        prepared_transaction: age of the oldest prepared (two-phase) transaction.
        slow_queries: statements that run longer than `slow_query`.
        locks_waiting: locks that somebody waits for.
        lock_wait: longest wait for a lock.
        lag: how far a standby's data is behind, in time.
        lag_bytes: log that a standby knows of and has not replayed.
        standby_lag_bytes: the same seen from a primary, the worst of its standbys.
        min_standbys: standbys that must stream, at least.
        slot_bytes: log that one replication slot holds back.
        inactive_slots: replication slots that nobody uses.
        wal_directory: size of the write-ahead log's folder.
        wraparound: share of the transaction numbers in use.
        dead_rows: share of dead rows in one table of 10,000 rows or more.
        min_cache_hits: share of blocks found in the cache since the statistics began, at least.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    connections: Share | None = None
    transaction: Duration | None = None
    idle_transaction: Duration | None = None
    prepared_transaction: Duration | None = None
    slow_queries: int | None = None
    locks_waiting: int | None = None
    lock_wait: Duration | None = None
    lag: Duration | None = None
    lag_bytes: Size | None = None
    standby_lag_bytes: Size | None = None
    min_standbys: int | None = None
    slot_bytes: Size | None = None
    inactive_slots: int | None = None
    wal_directory: Size | None = None
    wraparound: Share | None = None
    dead_rows: Share | None = None
    min_cache_hits: Share | None = None


@dataclass(frozen=True)
class PostgresProbe:
    """Asks one PostgreSQL server, versions 12 to 18, on one connection, in read-only transactions.

    The user needs the role `pg_monitor` for everything; what it may not read is left out and has 0
    in `sre_probe_postgres_collector_success`. A dsn with several hosts is tried in its order, and
    the first that lets us in (and is what `target_session_attrs` asks for) is measured.

    Attributes:
        database: an entry of `databases:`, whose dsn is used.
        dsn: `postgresql://USER:PASSWORD@HOST/DATABASE` or `host=… user=…`; a socket as a path.
        role: what the server must be; the other one has failed. Left out: either.
        slow_query: statements that run longer than this are counted as slow.
        warn: beyond one of these it is degraded.
        max: beyond one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    database: str | None = None
    dsn: Secret | None = None
    role: Literal["primary", "standby"] | None = None
    slow_query: Duration = _SLOW
    warn: Limits = Limits()
    max: Limits = Limits()

    def __post_init__(self) -> None:
        if (self.database is None) == (self.dsn is None):
            raise ValueError('write either `database: NAME` or dsn: "${env:NAME}"')

    def check(self, context: ProbeContext) -> Reading:
        """Log in, ask part by part, hang up."""
        attempt = Attempt("postgres", context)
        try:
            dsn = dsn_of(context, self.database, self.dsn)
            with opened(attempt, dsn, "postgres") as session:
                total = self._measured(attempt, session)
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        attempt.gauges += total.gauges
        for name, done in total.done.items():
            attempt.gauges.append(FACTS("collector_success", done, collector=name))
        return attempt.reading(*judge(total, self.warn, self.max))

    def _measured(self, attempt: Attempt, session: PgSession) -> Measured:
        ask = session.rows
        try:
            about, found = server(ask, float(self.slow_query))
        except Unanswered as error:
            raise Trouble(Reason.STATUS, f"the server does not say who it is: {error}") from error
        parts = session_parts(ask, about)
        parts |= replication_parts(ask, about, attempt.context.clock)
        total = measured(parts | statistics_parts(ask, about))
        total.add(found)
        total.add(_as_wanted(self.role, about))
        total.used |= dict.fromkeys(_elsewhere(about))
        return total


def _as_wanted(role: str | None, about: Server) -> Found:
    found = "standby" if about.standby else "primary"
    return Found(bad=(f"it is a {found}, not a {role}",) if role and role != found else ())


def _elsewhere(about: Server) -> tuple[str, ...]:
    """Limits that do not apply to what this server is."""
    return () if about.standby else ("lag", "lag_bytes")
