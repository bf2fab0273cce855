"""What is done to a node of a set by SQL and by its control? (effects; every act is idempotent)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from psycopg import sql

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError
from sre.core.secrets import Secret, redactor
from sre.failover.clusters.common.together import together
from sre.failover.clusters.common.waiting import wait_until
from sre.failover.clusters.pg.asking import Connection, Line
from sre.failover.clusters.pg.conninfo import following, frozen, thawed, with_settings, words_of
from sre.failover.clusters.pg.look import Looker
from sre.failover.clusters.pg.lsn import Control, lsn_of, parse_control
from sre.failover.engine import Ground, Placed

__all__ = ["Hands"]

T = TypeVar("T")
_WAIT = """left=$(printf %.0f "$1"); shift; turns=$((left * 200))
while said=$("$@"); do
  case $said in *"state:               shut down
"*) break ;; esac
  [ $((turns -= 1)) -gt 0 ] || break
  sleep 0.003
done
printf '%s\\n' "$said\""""
"""Until pg_controldata says that the server was left in order, or the time is over."""
_QUIET = "set log_statement = 'none'; set log_min_error_statement = 'panic'"


class Hands:
    """Acts on the nodes of one cluster."""

    def __init__(
        self, ground: Ground, lines: Mapping[str, Line], looker: Looker, replication: Secret | None
    ) -> None:
        self.ground, self.looker = ground, looker
        self._lines, self._replication = lines, replication

    def ask(self, node: str, work: Callable[[Connection], T], deadline: Deadline) -> T:
        """The answer of a node. Raises as `Line.ask`."""
        return self._lines[node].ask(work, deadline)

    def value(self, node: str, text: str, deadline: Deadline) -> Any:
        """The one value that a statement answers."""

        def work(connection: Connection) -> Any:
            row = connection.execute(text.encode()).fetchone()
            return row[0] if row else None

        return self.ask(node, work, deadline)

    def each(self, nodes: Iterable[str], act: Callable[[str], T]) -> dict[str, T]:
        """An act on several nodes at once. Raises the first error, once all have ended."""
        found = together({name: partial(act, name) for name in nodes})
        for answer in found.values():
            if isinstance(answer, SreError):
                raise answer
        return found  # type: ignore[return-value]

    def until(
        self, what: str, done: Callable[[], T | None], deadline: Deadline, on: Sequence[str] = ()
    ) -> T:
        """As `wait_until`."""
        return wait_until(self.ground, what, done, deadline, on)

    def change(
        self,
        node: str,
        settings: Mapping[str, str | None],
        deadline: Deadline,
        *,
        load: bool = True,
    ) -> None:
        """ALTER SYSTEM for each setting, None: reset; then the configuration is loaded again."""

        def work(connection: Connection) -> None:
            connection.execute(_QUIET)
            for name, value in settings.items():
                ident = sql.Identifier(name)
                text = sql.SQL("alter system reset {}").format(ident)
                if value is not None:
                    text = sql.SQL("alter system set {} = {}").format(ident, sql.Literal(value))
                connection.execute(text)
            if load:
                connection.execute("select pg_reload_conf()")

        self.ask(node, work, deadline)

    def conninfo(self, node: str, deadline: Deadline) -> str:
        """A node's own primary_conninfo, as it was before it was frozen."""
        found = str(self.value(node, "select current_setting('primary_conninfo')", deadline) or "")
        return thawed(found)

    def way(self, node: str, to: str, template: str) -> str:
        """The primary_conninfo with which `node` follows `to`. Raises CheckFailed."""
        host, port = self.looker.addresses()[to]
        more: dict[str, str] = {}
        if self._replication is not None:
            said = self._replication.reveal()
            template = template or said
            more = words_of(said)
        if not template:
            raise CheckFailed(
                f"nothing says how {node} logs in to {to}: give `replication:` to the cluster"
            )
        made = following(template, host, port, node, more)
        password = words_of(made).get("password")
        if password:
            redactor.add(password)
        return made

    def follow(self, node: str, to: str, deadline: Deadline) -> None:
        """A running standby follows another server."""
        self.change(
            node, {"primary_conninfo": self.way(node, to, self.conninfo(node, deadline))}, deadline
        )

    def freeze(self, node: str, deadline: Deadline) -> tuple[int, int]:
        """A standby receives nothing any more; its timeline and position."""
        now = str(self.value(node, "select current_setting('primary_conninfo')", deadline) or "")
        if now:
            self.change(node, {"primary_conninfo": frozen(now)}, deadline)
        gone = "select count(*) = 0 from pg_stat_wal_receiver where status = 'streaming'"
        self.until(f"{node} lets go of its primary",
                   lambda: self.value(node, gone, deadline), deadline)  # fmt: skip
        return self.position(node, deadline)

    def thaw(self, node: str, deadline: Deadline) -> None:
        """A frozen standby follows whom it followed before."""
        now = str(self.value(node, "select current_setting('primary_conninfo')", deadline) or "")
        if thawed(now) != now:
            self.change(node, {"primary_conninfo": thawed(now)}, deadline)

    def position(self, node: str, deadline: Deadline) -> tuple[int, int]:
        """Timeline and position of a standby."""
        seen = self.looker.one(node, deadline)
        return seen.timeline, seen.position or 0

    def replayed(self, node: str, deadline: Deadline) -> int:
        """The last position that a standby has replayed."""
        return lsn_of(self.value(node, "select pg_last_wal_replay_lsn()::text", deadline) or "0/0")

    def recovering(self, node: str, deadline: Deadline) -> bool:
        """Whether a node is a standby."""
        return bool(self.value(node, "select pg_is_in_recovery()", deadline))

    def streams(self, node: str, deadline: Deadline, source: str = "") -> bool:
        """Whether a standby receives log; of `source`: not over an old connection to another."""
        text = (
            "select sender_host, sender_port from pg_stat_wal_receiver where status = 'streaming'"
        )
        row = self.ask(node, lambda c: c.execute(text).fetchone(), deadline)
        if row is None or not source:
            return row is not None
        host, port = self.looker.addresses()[source]
        return str(row[1]) == port and (not host or row[0] == host)

    def write(self, node: str, deadline: Deadline) -> None:
        """A real commit, through the log and the standbys that it waits for; changes no data."""
        text = "select pg_logical_emit_message(true, 'sre', '')"
        self.ask(node, lambda c: c.execute(text), deadline)

    def slots(self, node: str, names: Iterable[str], deadline: Deadline) -> None:
        """Physical replication slots of these names are there."""
        wanted = sorted(set(names))
        text = (
            "select pg_create_physical_replication_slot(n) from unnest(%s::text[]) n"
            " where n not in (select slot_name from pg_replication_slots)"
        )
        self.ask(node, lambda c: c.execute(text.encode(), [wanted]).fetchall(), deadline)

    def drop_slots(self, node: str, names: Iterable[str], deadline: Deadline) -> None:
        """Physical slots of these names that nobody uses are gone: each would hold log for ever."""
        text = (
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
            " where slot_name = any(%s::text[]) and slot_type = 'physical' and not active"
        )
        wanted = sorted(set(names))
        self.ask(node, lambda c: c.execute(text.encode(), [wanted]).fetchall(), deadline)

    def end_senders(self, node: str, names: Iterable[str], deadline: Deadline) -> None:
        """The walsenders of these standbys end; whoever is there comes back by itself."""
        text = (
            "select pg_terminate_backend(pid) from pg_stat_replication"
            " where lower(application_name) = any(%s::text[])"
        )
        wanted = sorted(name.lower() for name in names)
        self.ask(node, lambda c: c.execute(text.encode(), [wanted]).fetchall(), deadline)

    def pg_control(self, node: Placed, deadline: Deadline) -> Control:
        """What pg_control says of a server that does not run. Raises CheckFailed."""
        return self._controldata(node, [], deadline)

    def left_in_order(self, node: Placed, deadline: Deadline) -> Control:
        """The same, as soon as it says `shut down`: nobody can be told of a commit after that.

        Called before the server is stopped, so that it waits there and not here.
        """
        return self._controldata(node, ["sh", "-c", _WAIT, "sre", str(deadline.left())], deadline)

    def _controldata(self, node: Placed, before: list[str], deadline: Deadline) -> Control:
        service = node.service
        argv = [*before, service.program("pg_controldata"), service.data_dir]
        done = node.control.run(service, argv, deadline, env={"LC_ALL": "C"})
        if not done.ok:
            raise CheckFailed(f"pg_controldata on {node.name}: {done.stderr.strip()}")
        try:
            return parse_control(done.stdout.decode("utf-8", "replace"))
        except ValueError as error:
            raise CheckFailed(f"{node.name}: {error}") from error

    def as_standby(
        self, node: Placed, to: str, template: str, slot: str, deadline: Deadline
    ) -> None:
        """A node that does not run comes up as a standby of `to`, when it is started."""
        service, control = node.service, node.control
        folder = service.data_dir.rstrip("/")
        control.write(service, f"{folder}/standby.signal", b"", deadline)
        path = f"{folder}/postgresql.auto.conf"
        before = (control.read(service, path, deadline) or b"").decode("utf-8", "surrogateescape")
        settings = {"primary_conninfo": self.way(node.name, to, template)}
        settings["primary_slot_name"] = slot
        after = with_settings(before, settings)
        if after != before:
            control.write(service, path, after.encode("utf-8", "surrogateescape"), deadline)
