"""How is a PostgreSQL reached at admitted addresses alone, and asked without changing anything?

libpq does the talking, step by step, so that the deadline is ours and each phase is timed. It gets
the admitted address (`hostaddr`) beside the name, which TLS still verifies.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sre.core.secrets import redactor
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble, admitted
from sre.probes.drivers import needs
from sre.probes.parts import Denied, Late, Unanswered
from sre.probes.watchdog import Watchdog, watched

__all__ = ["PgSession", "opened", "places"]

_EXTRA = "databases"
_SHORTEST_SECRET = 6
_DENIED = ("42501", "0A000", "42883", "42P01", "42704", "42703")
"""Not allowed, or unknown to this server: privilege, feature, function, table, object, column."""
_GIVEN_UP = ("57014", "55P03")
_STRANGE = ("invalid response", "error response during SSL", "expected authentication request")
_BROKEN = ("server closed the connection", "could not receive data", "could not send data")

_SEVERITY = re.compile(r"^[^:]{1,16}:  ")
"""`FATAL:  `, in whatever language the server speaks."""

Words = Mapping[str, str]


@contextmanager
def opened(attempt: Attempt, dsn: str, kind: str) -> Iterator[PgSession]:
    """One connection to the first host of `dsn` that lets us in, closed afterwards.

    Raises:
        Trouble: blocked, or why nobody let us in.
        MissingExtra: the driver is not installed.
    """
    with needs(kind, _EXTRA):
        import psycopg  # noqa: PLC0415  only who asks PostgreSQL needs the driver
    pgconn = _first(attempt, places(dsn))
    connection: Any = psycopg.Connection(pgconn)
    try:
        connection.autocommit = True  # every statement of ours says its own BEGIN
        with watched(pgconn.socket, attempt.time_left()) as dog:
            yield PgSession(attempt, connection, dog)
    finally:
        connection.close()


def places(dsn: str) -> tuple[Words, ...]:
    """What to tell libpq for each host of a dsn, in the order of their being tried.

    Raises:
        Trouble: it cannot be read (reason `prober`); the message holds nothing of it.
    """
    from psycopg import ProgrammingError  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        words = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    except (ProgrammingError, UnicodeError):
        raise _misread("cannot be read; write postgresql://USER:PASSWORD@HOST/DATABASE") from None
    _mask(words)
    hosts, addresses = (words.pop(key, "").split(",") for key in ("host", "hostaddr"))
    ports = words.pop("port", "5432").split(",")
    count = max(len(hosts), len(addresses))
    if len(ports) == 1:
        ports *= count
    if len(ports) != count or not all(port.isdecimal() or not port for port in ports):
        raise _misread("names not as many ports as hosts, or one that is no number")
    for useless in ("connect_timeout", "load_balance_hosts", "application_name"):
        words.pop(useless, None)  # the deadline is ours, the order that of the dsn
    fixed = {"gssencmode": "disable", "client_encoding": "UTF8"} | words
    found = []
    for index, port in enumerate(ports):
        host = hosts[index] if index < len(hosts) else ""
        address = addresses[index] if index < len(addresses) else ""
        if not host and not address:
            raise _misread("names no host; write one, or a socket's folder as host=/run/postgresql")
        where = {"host": host, "hostaddr": address, "port": port or "5432"}
        found.append(fixed | {"application_name": "sre"} | {k: v for k, v in where.items() if v})
    return _standby_first(found)


def _standby_first(found: list[dict[str, str]]) -> tuple[Words, ...]:
    """libpq's `prefer-standby` is about all hosts together: first a standby, then any."""
    if not found or found[0].get("target_session_attrs") != "prefer-standby":
        return tuple(found)
    wanted = ("standby", "any")
    return tuple({**one, "target_session_attrs": which} for which in wanted for one in found)


def _misread(why: str) -> Trouble:
    return Trouble(Reason.PROBER, f"the dsn {why}")


def _mask(words: Words) -> None:
    """The password alone must not show either; a word that is also the user's name may."""
    for key in ("password", "sslpassword"):
        secret = words.get(key, "")
        if len(secret) >= _SHORTEST_SECRET and secret not in (
            words.get("user"),
            words.get("dbname"),
        ):
            redactor.add(secret)


def _first(attempt: Attempt, hosts: tuple[Words, ...]) -> Any:
    """A libpq connection to the first host that lets us in; time is shared among those left."""
    last: Trouble | None = None
    for index, words in enumerate(hosts):
        seconds = attempt.time_left() / (len(hosts) - index)
        try:
            return _dial(attempt, _pinned(attempt, words), seconds)
        except Trouble as trouble:
            where = f"{words.get('host') or words['hostaddr']}:{words['port']}: "
            prefix = where if len(hosts) > 1 else ""
            last = Trouble(trouble.reason, f"{prefix}{trouble.message}", trouble.outcome)
    raise last or _misread("names no host")


def _pinned(attempt: Attempt, words: Words) -> Words:
    """The admitted address beside the name. A socket's path is on this machine: nobody is asked."""
    name = words.get("hostaddr") or words["host"]
    if name.startswith(("/", "@")):
        return words
    return {**words, "hostaddr": admitted(attempt, name, int(words["port"])).address}


def _dial(attempt: Attempt, words: Words, seconds: float) -> Any:
    """Connect, shake hands, log in. Raises Trouble."""
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415
    from psycopg.pq import ConnStatus, PGconn  # noqa: PLC0415

    began, phases = time.monotonic(), attempt.phases
    pgconn = PGconn.connect_start(make_conninfo("", **words).encode())
    try:
        stage = _advance(phases, pgconn, began, began + seconds)
        if stage != "tls" and "tls" in phases and not pgconn.ssl_in_use:  # the server has none
            phases["processing"] = phases.get("processing", 0.0) + phases.pop("tls")
        if pgconn.status == ConnStatus.OK:
            pgconn.nonblocking = 1
            return pgconn
        trouble = _refused(pgconn.get_error_message("utf-8"), stage)
    except BaseException:
        pgconn.finish()
        raise
    pgconn.finish()
    raise trouble


def _advance(phases: dict[str, float], pgconn: Any, began: float, until: float) -> str:
    """Take libpq's steps until it is in or has given up; the phase in which that was."""
    from psycopg.pq import ConnStatus, PollingStatus  # noqa: PLC0415

    stages = {ConnStatus.STARTED: "connect", ConnStatus.SSL_STARTUP: "tls"}
    stage = "connect"
    while pgconn.status != ConnStatus.BAD:
        polled = pgconn.connect_poll()
        now = time.monotonic()
        phases[stage] = phases.get(stage, 0.0) + now - began
        if polled in (PollingStatus.OK, PollingStatus.FAILED):
            break
        began, stage = now, stages.get(ConnStatus(pgconn.status), "processing")
        ready = _ready(pgconn.socket, reading=polled == PollingStatus.READING, until=until)
        if not ready:
            phases[stage] = phases.get(stage, 0.0) + time.monotonic() - began
            raise Trouble(Reason.TIMEOUT, _LATE[stage])
    return stage


_LATE = {
    "connect": "no connection in time",
    "tls": "connected, but the server did not answer in time",
    "processing": "connected, but the server did not let us in in time",
}


def _ready(descriptor: int, *, reading: bool, until: float) -> bool:
    waiter = select.poll()
    waiter.register(descriptor, select.POLLIN if reading else select.POLLOUT)
    return bool(waiter.poll(max(0.0, until - time.monotonic()) * 1000))


def _refused(said: str, stage: str) -> Trouble:
    """What libpq's words mean: it gives no code for a connection that failed."""
    line = said.strip().splitlines()[0] if said.strip() else "no reason given"
    _, found, rest = line.partition(" failed: ")
    line = redactor.mask(_SEVERITY.sub("", rest if found else line))
    if any(words in line for words in _STRANGE):
        return Trouble(Reason.PROTOCOL, "it does not speak PostgreSQL")
    if any(words in line for words in _BROKEN):
        return Trouble(Reason.PROTOCOL, line)
    if stage == "connect":
        return Trouble(Reason.CONNECT, line)
    if stage == "tls" or any(word in line for word in ("certificate", "SSL was required")):
        return Trouble(Reason.TLS, line)
    return Trouble(Reason.STATUS, f"the server refused: {line}")


@dataclass
class PgSession:
    """One connection that only reads."""

    attempt: Attempt
    connection: Any
    dog: Watchdog

    def rows(self, sql: str, seconds: float | None = None) -> list[dict[str, Any]]:
        """All rows of one of our own queries, by column, in a read-only transaction of its own.

        One round trip, also through a pooler: nothing of it outlives the transaction.

        Raises:
            Unanswered: denied, late, or failed; the session can go on.
            Trouble: it cannot: the time is up, or the connection is gone.
        """
        text = f"{self.begin(seconds)}; {sql}; commit"  # a rollback would count as one
        cursor = self.run(text)
        while cursor.description is None and cursor.nextset():
            pass
        names = [column.name for column in cursor.description or ()]
        try:
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except UnicodeError as error:
            raise Unanswered("an answer is not UTF-8") from error

    def begin(self, seconds: float | None = None) -> str:
        """How a read-only transaction begins that ends within `seconds` and the deadline."""
        left = self.attempt.time_left()
        limit = max(1, int(min(left * 0.9, seconds or left) * 1000))
        return (
            f"begin read only; set local statement_timeout = {limit}; "
            f"set local lock_timeout = {limit}"
        )

    def run(self, text: str, *, alone: bool = False) -> Any:
        """A cursor after `text`; `alone`: the server takes a single statement, or refuses it.

        Raises:
            Unanswered, Trouble: as `rows` does. The transaction is over then.
        """
        import psycopg  # noqa: PLC0415

        with self.attempt.phase("processing"):
            try:
                # `binary` chooses the extended protocol, which carries one statement at a time.
                return self.connection.execute(text, binary=alone)
            except psycopg.Error as error:
                raise self._meant(error) from None

    def _meant(self, error: Any) -> Exception:
        line = redactor.mask((str(error).strip() or type(error).__name__).splitlines()[0])
        if self.dog.bit:
            return Trouble(Reason.TIMEOUT, "the server stopped answering")
        if self.connection.broken:
            return Trouble(Reason.PROTOCOL, line)
        self.connection.execute("rollback")
        if error.sqlstate in _DENIED:
            return Denied(line)
        return Late("it took too long") if error.sqlstate in _GIVEN_UP else Unanswered(line)
