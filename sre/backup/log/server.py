"""What does the server say of its log, and how is it told what it may forget?

`identify` once at a start; a `Watch` then asks each second in a thread of its own, so that a server
that hangs holds up nobody. A position that it wrote at some moment dates everything before it.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sre.backup.log.timelines import Switch, Way, parse_history
from sre.core.clock import Clock
from sre.core.errors import SreError, Transient, UsageError
from sre.core.secrets import redactor
from sre.sql.session import Session

__all__ = ["Identity", "Slot", "View", "Watch", "identify", "slot_of"]

_CONNECT: Any = {
    "connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}  # fmt: skip
_STATEMENT_MS = 10_000
_SAMPLES = 100_000

_NOW = """
select extract(epoch from clock_timestamp())::float8, (pg_current_wal_lsn() - '0/0')::text,
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
"""
_NOW_STANDBY = """
select extract(epoch from pg_last_xact_replay_timestamp())::float8,
       (pg_last_wal_replay_lsn() - '0/0')::text,
       coalesce((select received_tli from pg_stat_wal_receiver),
                (select timeline_id from pg_control_checkpoint()))
"""
_SLOT = """
select wal_status, (restart_lsn - '0/0')::text from pg_replication_slots where slot_name = %s
"""
_FLUSHED = """
select (flush_lsn - '0/0')::text from pg_stat_replication
where application_name = %s order by flush_lsn is null, pid desc limit 1
"""
_BEAT = "select pg_logical_emit_message(true, 'sre_backup.heartbeat', clock_timestamp()::text)"


@dataclass(frozen=True)
class Identity:
    """A server: `system` identifier, major version, bytes of a segment, its timelines, where its
    log ends."""

    system: int
    major: str
    size: int
    way: Way
    lsn: int

    @property
    def place(self) -> str:
        """As `Source.place`."""
        return f"{self.system}-{self.major}"


@dataclass(frozen=True)
class Slot:
    """`status` is PostgreSQL's wal_status; `restart` None when the slot keeps nothing any more."""

    status: str
    restart: int | None


@dataclass(frozen=True)
class View:
    """What the server said last.

    Attributes:
        at: monotonic seconds.
        streams: whether pg_receivewal is connected.
        flushed: how far it has the log on its disk; None when it is not connected, or we may not
            know (pg_read_all_stats).
    """

    at: float
    lsn: int
    timeline: int
    streams: bool
    flushed: int | None
    slot: Slot | None


def identify(dsn: str) -> Identity:
    """Ask the server what it is. Raises Transient, UsageError."""
    with Session(dsn) as session:
        major = str(session.value("show server_version")).split(".", maxsplit=1)[0].split()[0]
        size = int(
            session.value("select setting::bigint from pg_settings where name = 'wal_segment_size'")
        )
    import psycopg  # noqa: PLC0415  Session has said so when it is missing

    try:
        with psycopg.connect(dsn, autocommit=True, replication="database", **_CONNECT) as link:
            system, timeline, lsn = _replied(link, "IDENTIFY_SYSTEM")[:3]
            switches: tuple[Switch, ...] = ()
            if int(timeline) > 1:
                text = _replied(link, f"TIMELINE_HISTORY {int(timeline)}")[1]
                switches = parse_history(text)
    except psycopg.Error as error:
        said = redactor.mask(str(error).strip().splitlines()[0] if str(error).strip() else "")
        if isinstance(error, psycopg.OperationalError) and "replication" not in said:
            raise Transient(f"PostgreSQL cannot be asked for its log: {said}") from None
        raise UsageError(
            f"PostgreSQL does not stream its log to this user: {said}; grant REPLICATION, allow "
            "replication in pg_hba.conf, set wal_level to replica or logical"
        ) from None
    high, _, low = lsn.partition("/")
    way = Way(int(timeline), switches)
    return Identity(int(system), major, size, way, int(high, 16) << 32 | int(low, 16))


def slot_of(dsn: str, name: str) -> Slot | None:
    """The slot as it is; None when there is none. Raises Transient, UsageError."""
    with Session(dsn) as session:
        rows = session.rows(_SLOT.replace("%s", ":name"), {"name": name})
    return _as_slot(rows[0] if rows else None)


def _as_slot(row: tuple[Any, ...] | None) -> Slot | None:
    if row is None:
        return None
    return Slot(str(row[0] or "?"), None if row[1] is None else int(row[1]))


def _replied(link: Any, command: str) -> tuple[str, ...]:
    """The one row of a replication command, which knows the simple protocol alone."""
    import psycopg  # noqa: PLC0415

    result = link.pgconn.exec_(command.encode())
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        said = (result.error_message or b"").decode("utf-8", "replace").strip()
        raise psycopg.DatabaseError(f"{command}: replication: {said}")
    return tuple((result.get_value(0, i) or b"").decode() for i in range(result.nfields))


@dataclass
class _Sample:
    moment: float
    """By the server's clock."""
    now: float
    """By ours, monotonic."""
    timeline: int
    lsn: int


@dataclass
class Watch:
    """Asks a server about its log each second while it is entered.

    Attributes:
        advance_to: what is stored up to there; the slot lets the server forget it.
        problem: why the server cannot be asked; empty while it can.
        dropped: how often the slot was gone, or had lost what it kept, and was made anew.
    """

    dsn: str
    slot: str
    application: str
    heartbeat: float
    clock: Clock
    advance_to: int = 0
    problem: str = "not asked yet"
    dropped: int = 0
    view: View | None = None
    _samples: deque[_Sample] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _asked: threading.Event = field(default_factory=threading.Event)
    _seen: bool = False
    _advanced: int = 0
    _beat: float = float("-inf")

    @contextlib.contextmanager
    def watching(self) -> Iterator[Watch]:
        """In a thread that nobody waits for: the server may hang."""
        thread = threading.Thread(target=self._ask_on, name="watch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()

    def first(self, seconds: float) -> View:
        """The first answer. Raises Transient when there is none in time."""
        self._asked.wait(seconds)
        if self.view is None:
            raise Transient(f"PostgreSQL does not say where its log is: {self.problem}")
        return self.view

    def upto(self, timeline: int, lsn: int) -> float | None:
        """The newest moment (server's clock) before which everything is before that position."""
        found = self._newest(timeline, lsn)
        return None if found is None else found.moment

    def age(self, timeline: int, lsn: int) -> float | None:
        """Seconds since the newest moment that is covered, by our clock; None: not known."""
        found = self._newest(timeline, lsn)
        return None if found is None else max(0.0, self.clock.now() - found.now)

    def _newest(self, timeline: int, lsn: int) -> _Sample | None:
        with self._guard:
            found = [
                each for each in self._samples if each.timeline == timeline and each.lsn <= lsn
            ]
            newest = found[-1] if found else None
            while newest is not None and self._samples and self._samples[0] is not newest:
                self._samples.popleft()
            return newest

    def _ask_on(self) -> None:
        import psycopg  # noqa: PLC0415

        link: Any = None
        while not self._ended.is_set():
            try:
                if link is None or link.closed:
                    link = psycopg.connect(self.dsn, autocommit=True, **_CONNECT)
                    link.execute(f"set statement_timeout = {_STATEMENT_MS}")
                self.view = self._ask(link)
                self.problem = ""
                self._asked.set()
            except (psycopg.Error, SreError, OSError) as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                self.problem = redactor.mask(lines[0])
                with contextlib.suppress(Exception):
                    link.close()
                link = None
            self._ended.wait(1.0)
        with contextlib.suppress(Exception):
            link.close()

    def _ask(self, link: Any) -> View:
        standby = link.execute("select pg_is_in_recovery()").fetchone()[0]
        if self.heartbeat and not standby and self.clock.now() - self._beat >= self.heartbeat:
            self._beat = self.clock.now()
            link.execute(_BEAT)
        now = self.clock.now()
        moment, lsn, timeline = link.execute(_NOW_STANDBY if standby else _NOW).fetchone()
        if moment is not None and lsn is not None:
            with self._guard:
                self._samples.append(_Sample(float(moment), now, int(timeline), int(lsn)))
        slot = self._keep_slot(link)
        row = link.execute(_FLUSHED, (self.application,)).fetchone()
        flushed = int(row[0]) if row and row[0] is not None else None
        return View(now, int(lsn or 0), int(timeline), row is not None, flushed, slot)

    def _keep_slot(self, link: Any) -> Slot | None:
        """There, and keeping what is not stored yet and nothing else."""
        slot = self._slot(link)
        if slot is not None and (slot.status == "lost" or slot.restart is None):
            link.execute("select pg_drop_replication_slot(%s)", (self.slot,))
            slot = None
        if slot is None:
            self.dropped += self._seen
            link.execute("select pg_create_physical_replication_slot(%s, true)", (self.slot,))
            slot = self._slot(link)
        self._seen = True
        target = self.advance_to
        if slot and slot.restart is not None and target > max(slot.restart, self._advanced):
            lsn = f"{target >> 32:X}/{target & 0xFFFFFFFF:X}"
            link.execute("select pg_replication_slot_advance(%s, %s::pg_lsn)", (self.slot, lsn))
            self._advanced = target
        return slot

    def _slot(self, link: Any) -> Slot | None:
        return _as_slot(link.execute(_SLOT, (self.slot,)).fetchone())
