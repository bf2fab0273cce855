"""Is a MariaDB or MySQL healthy: connections, transactions, locks, replication, room?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sre.core.secrets import Secret
from sre.core.units import Duration, Share
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.dsn import dsn_of
from sre.probes.facts import Facts
from sre.probes.model import ProbeContext, Reading
from sre.probes.mysqlfacts import FACTS
from sre.probes.mysqlserver import mysql_parts
from sre.probes.mysqlwire import Place, Tls, opened, place_of
from sre.probes.parts import Found, Measured, Unanswered, judge, measured

__all__ = ["Limits", "MysqlProbe"]

_SLOW = Duration(5.0)


@dataclass(frozen=True)
class Limits:
    """What may be used, waited for or behind; what is left out is not judged.

    Attributes:
        connections: share of the connections in use.
        threads_running: connections that are not idle.
        transaction: age of the oldest open transaction.
        idle_transaction: age of the oldest one whose client is idle.
        slow_queries: statements that run longer than `slow_query`.
        row_lock_waits: waits for a row's lock now.
        metadata_lock_waits: statements that wait for a table's definition.
        lock_wait: longest wait for a row's lock.
        lag: time behind the source, the worst channel; a stopped one cannot be judged.
        min_replicas: replicas that must be connected, at least.
        min_buffer_pool_hits: share found in the buffer pool since the start, at least.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    connections: Share | None = None
    threads_running: int | None = None
    transaction: Duration | None = None
    idle_transaction: Duration | None = None
    slow_queries: int | None = None
    row_lock_waits: int | None = None
    metadata_lock_waits: int | None = None
    lock_wait: Duration | None = None
    lag: Duration | None = None
    min_replicas: int | None = None
    min_buffer_pool_hits: Share | None = None


@dataclass(frozen=True)
class MysqlProbe:
    """Asks one MariaDB or MySQL server, on one connection, in a read-only session.

    The user needs PROCESS and, for replication, SLAVE MONITOR (MariaDB) or REPLICATION CLIENT, and
    for sizes any privilege on the tables, such as SHOW VIEW; what it may not read is left out and
    has 0 in `sre_probe_mysql_collector_success`.

    Attributes:
        database: an entry of `databases:`, whose dsn is used.
        dsn: `mysql://USER:PASSWORD@HOST:3306/?ssl-mode=verify_identity&ssl-ca=FILE`.
        host: with `port`, `user`, `password`, in place of a dsn.
        unix_socket: path of the server's socket, in place of `host`.
        user: who asks.
        password: its password; a server may want none.
        tls: `off`, `prefer` (if the server can, not verified), `require` (not verified),
            `verify_ca` or `verify_identity`.
        ca_file: PEM file of the authorities to trust instead of the system's.
        role: what the server must be: a `primary` replicates from nobody and takes writes, all
            channels of a `replica` run; otherwise it has failed. Left out: either.
        slow_query: statements that run longer than this are counted as slow.
        warn: beyond one of these it is degraded.
        max: beyond one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    database: str | None = None
    dsn: Secret | None = None
    host: str | None = None
    port: int = 3306
    unix_socket: str | None = None
    user: str | None = None
    password: Secret | None = None
    tls: Tls | None = None
    ca_file: str | None = None
    role: Literal["primary", "replica"] | None = None
    slow_query: Duration = _SLOW
    warn: Limits = Limits()
    max: Limits = Limits()

    def __post_init__(self) -> None:
        places = (self.database, self.dsn, self.host, self.unix_socket)
        if sum(place is not None for place in places) != 1:
            raise ValueError("write exactly one of database, dsn, host, unix_socket")
        by_dsn = self.database is not None or self.dsn is not None
        if by_dsn and any((self.user, self.password, self.tls, self.ca_file)):
            raise ValueError("user, password, tls and ca_file stand in the dsn (ssl-mode, ssl-ca)")
        if not by_dsn and self.user is None:
            raise ValueError("write user: who asks the server")
        if not 0 < self.port < 65536:
            raise ValueError("port must be 1 to 65535")

    def check(self, context: ProbeContext) -> Reading:
        """Log in, ask part by part, hang up."""
        attempt = Attempt("mysql", context)
        try:
            with opened(attempt, self._place(context), "mysql") as session:
                total = measured(mysql_parts(session, float(self.slow_query), context.clock.wall()))
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        except Unanswered as error:
            why = f"the server allows no read-only session: {error}"
            return attempt.ended_by(Trouble(Reason.STATUS, why))
        total.add(_as_wanted(self.role, total))
        attempt.gauges += total.gauges
        for name, done in total.done.items():
            attempt.gauges.append(FACTS("collector_success", done, collector=name))
        return attempt.reading(*judge(total, self.warn, self.max))

    def _place(self, context: ProbeContext) -> Place:
        if self.database is not None or self.dsn is not None:
            return place_of(dsn_of(context, self.database, self.dsn))
        return Place(
            self.host or "localhost",
            self.port,
            self.unix_socket,
            self.user or "",
            self.password.reveal() if self.password is not None else "",
            tls=self.tls or "prefer",
            ca_file=self.ca_file,
        )


def _as_wanted(role: str | None, total: Measured) -> Found:
    """Whether it is what it must be (pure); `poor` has the channels that do not run."""
    found = {gauge.name: gauge.value for gauge in total.gauges}
    channels = found.get("sre_probe_mysql_replication_channels")
    bad: list[str] = []
    if role is None or (channels is None and not found):
        return Found()
    if channels is None:
        return Found(poor=("its role cannot be judged: replication may not be read",))
    if role == "primary":
        if channels:
            bad.append("it replicates, and is to be the primary")
        if found.get("sre_probe_mysql_read_only"):
            bad.append("it is read-only, and is to be the primary")
    elif not channels:
        bad.append("it replicates from nobody, and is to be a replica")
    else:
        bad += [words for words in total.poor if words.startswith("replication ")]
    return Found(bad=tuple(bad))
