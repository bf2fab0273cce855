"""How do clients of PgBouncer wait through a switchover, and find the new primary after it?"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, Transient, UsageError
from sre.core.secrets import Secret
from sre.failover.switches import Server, State, Way
from sre.failover.traffic import filechange
from sre.failover.traffic.addresses import host_and_port
from sre.failover.traffic.pgbouncerconsole import Console, TooLate, console
from sre.failover.traffic.pgbouncerfile import entries, pointed, target
from sre.failover.traffic.pgbouncerrows import address_of, is_on, quoted, state_of

__all__ = ["PgbouncerTraffic"]

_POLL = 0.005
_RESUME = 5.0
_PATIENCE = 2.0


@dataclass(frozen=True)
class PgbouncerTraffic:
    """One database of PgBouncer: its clients can be made to wait.

    With `servers` it points at a node itself and is repointed in its file; without, it points at
    another switch (HAProxy, say) and only lets clients wait.

    Attributes:
        admin: a DSN of its admin console; the user stands in its `admin_users`.
        database: the name in `[databases]`.
        config: its file with that entry.
        servers: what each node's `server` is called here -> HOST:PORT.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    admin: Secret
    database: str
    config: str = ""
    servers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.database or self.database == "pgbouncer" or "\0" in self.database:
            raise ValueError("database is the name of an entry in PgBouncer's [databases]")
        if self.servers and not self.config:
            raise ValueError("servers without config; give PgBouncer's file, which says where to")
        for name, address in self.servers.items():
            try:
                host_and_port(address)
            except ValueError as error:
                raise ValueError(f"servers.{name}: {error}") from error

    def look(self, deadline: Deadline) -> Way:
        """Where it points, who works and who waits."""
        with console(self.admin, deadline) as talk:
            row = self._row(talk, deadline)
            working = self._working(talk, deadline)
            pools = talk.ask("SHOW POOLS", deadline)
        waiting = sum(
            int(each["cl_waiting"]) for each in pools if each["database"] == self.database
        )
        problems = []
        if is_on(row, "paused"):
            problems.append(
                f"database {self.database} is paused, {waiting} clients wait; "
                "`sre traffic resume` lets them go on"
            )
        if is_on(row, "disabled"):
            problems.append(f"database {self.database} is disabled; new clients are refused")
        if not self.servers:
            state = state_of(row, working)
            alone = Server(self.database, address_of(row), state, sessions=len(working))
            return Way((alone,), tuple(problems))
        told, written = self._written()
        return Way(
            tuple(self._server(name, row, working, written) for name in self.servers),
            (*problems, *told, *self._strays(row, written)),
        )

    def pause(self, deadline: Deadline) -> None:
        """PAUSE: transactions end, clients wait; at the deadline, or when we die, RESUME."""
        with console(self.admin, deadline) as talk:
            self._row(talk, deadline)
            try:
                talk.ask(f"PAUSE {quoted(self.database)}", deadline)
            except BaseException as error:
                held = self._resume_after()
                if isinstance(error, TooLate):
                    raise Transient(
                        f"transactions on {self.database} did not end in time, and its clients go "
                        f"on as before: {held}"
                    ) from error
                raise

    def resume(self, deadline: Deadline) -> None:
        """RESUME, when it is paused."""
        with console(self.admin, deadline) as talk:
            self._resume(talk, deadline)

    def close(self, server: str, deadline: Deadline) -> None:
        """PAUSE when it points there, and KILL what has not ended within two seconds.

        Its clients wait until another server is opened. Without `servers`: nothing.
        """
        if not self.servers:
            return
        self._address(server)
        with console(self.admin, deadline) as talk:
            here = self._points_at(self._row(talk, deadline)) == server
        if here:
            self._empty(deadline)
        self._until_left(server, deadline)

    def drain(self, server: str, deadline: Deadline) -> None:
        """PAUSE without waiting for transactions to end. Without `servers`: nothing."""
        if not self.servers:
            return
        self._address(server)
        with console(self.admin, deadline) as talk:
            if self._points_at(self._row(talk, deadline)) == server:
                with contextlib.suppress(TooLate):
                    talk.ask(f"PAUSE {quoted(self.database)}", deadline.within(0.05))

    def open(self, server: str, deadline: Deadline) -> None:
        """It points there, and clients go on: there is one place to point at, so as `repoint`."""
        self.repoint(server, deadline)

    def repoint(self, server: str, deadline: Deadline) -> None:
        """Clients wait while file and run time change. Without `servers`: nothing."""
        if not self.servers:
            return
        wanted = self._address(server)
        with console(self.admin, deadline) as talk:
            moves = address_of(self._row(talk, deadline)) != wanted
        if moves:
            self._empty(deadline)
        self._write(wanted, deadline)
        with console(self.admin, deadline) as talk:
            if moves:
                talk.ask("RELOAD", deadline)
                self._until_pointed(talk, wanted, deadline)
            self._resume(talk, deadline)

    def _empty(self, deadline: Deadline) -> None:
        """No server connection is left; clients wait, or were cut off."""
        patience = deadline.within(min(_PATIENCE, deadline.left() / 2))
        try:
            with console(self.admin, patience) as talk:
                talk.ask(f"PAUSE {quoted(self.database)}", patience)
        except TooLate:
            with console(self.admin, deadline) as talk:
                talk.ask(f"KILL {quoted(self.database)}", deadline)

    def _write(self, wanted: str, deadline: Deadline) -> None:
        host, port = host_and_port(wanted)

        def check(_draft: Path, _left: Deadline) -> None:
            """PgBouncer has no way to check a file; only two words of it change."""

        def edit(text: bytes) -> bytes:
            if target(text, self.database) == (host, port):
                return text
            return pointed(text, self.database, host, port)

        try:
            filechange.change(self.config, edit, check, deadline)
        except KeyError as error:
            known = ", ".join(entries(filechange.read(self.config))) or "none"
            raise CheckFailed(
                f"{self.config} has no entry {self.database!r} under [databases]; it has: {known}"
            ) from error

    def _until_pointed(self, talk: Console, wanted: str, deadline: Deadline) -> None:
        while address_of(self._row(talk, deadline)) != wanted:
            if deadline.passed():
                raise CheckFailed(
                    f"PgBouncer does not take {self.config} over; see its log, and whether this "
                    "is the file that it was started with"
                )
            deadline.clock.sleep(_POLL)

    def _until_left(self, server: str, deadline: Deadline) -> None:
        while True:
            with console(self.admin, deadline) as talk:
                held = self._sessions(server, self._working(talk, deadline))
            if not held:
                return
            if deadline.passed():
                raise Transient(f"{held} sessions at {server} do not end")
            deadline.clock.sleep(_POLL)

    def _resume(self, talk: Console, deadline: Deadline) -> None:
        try:  # first this: clients wait for it
            talk.ask(f"RESUME {quoted(self.database)}", deadline)
        except CheckFailed:
            if is_on(self._row(talk, deadline), "paused"):  # else there is nothing to do
                raise

    def _resume_after(self) -> str:
        """Resume whatever happened; who holds it up. The deadline has passed: a fresh one."""
        deadline = Deadline.after(_RESUME)
        try:
            with console(self.admin, deadline) as talk:
                self._resume(talk, deadline)
                return self._holders(talk, deadline)
        except SreError as error:
            return f"RESUME FAILED ({error}), clients wait; `sre traffic resume` lets them go on"

    def _holders(self, talk: Console, deadline: Deadline) -> str:
        links = {each["link"] for each in self._working(talk, deadline)}
        clients = [each for each in talk.ask("SHOW CLIENTS", deadline) if each["ptr"] in links]
        told = [
            f"{each['addr']}:{each['port']}"
            + (f" ({each['application_name']})" if each.get("application_name") else "")
            for each in clients
        ]
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        return f"still in one: {', '.join(told[:5]) or 'nobody any more'}{more}"

    def _row(self, talk: Console, deadline: Deadline) -> Mapping[str, str]:
        rows = talk.ask("SHOW DATABASES", deadline)
        for row in rows:
            if row["name"] == self.database:
                return row
        known = ", ".join(row["name"] for row in rows if row["name"] != "pgbouncer")
        raise CheckFailed(f"PgBouncer has no database {self.database!r}; it has: {known or 'none'}")

    def _working(self, talk: Console, deadline: Deadline) -> list[Mapping[str, str]]:
        rows = talk.ask("SHOW SERVERS", deadline)
        return [
            row
            for row in rows
            if row["database"] == self.database and row["state"].startswith("active")
        ]

    def _address(self, server: str) -> str:
        if server not in self.servers:
            known = ", ".join(self.servers)
            raise UsageError(f"there is no server {server!r}; known: {known}")
        return self.servers[server]

    def _points_at(self, row: Mapping[str, str]) -> str | None:
        found = (name for name, address in self.servers.items() if address == address_of(row))
        return next(found, None)

    def _sessions(self, server: str, working: list[Mapping[str, str]]) -> int | None:
        """None for a server that is known by a name: connections only tell numbers."""
        host, port = host_and_port(self.servers[server])
        try:
            number = str(ipaddress.ip_address(host))
        except ValueError:
            return None
        return sum((each["addr"], each["port"]) == (number, str(port)) for each in working)

    def _server(
        self, name: str, row: Mapping[str, str], working: list[Mapping[str, str]], written: str
    ) -> Server:
        address, sessions = self.servers[name], self._sessions(name, working)
        state: State = "draining" if sessions else "closed"
        if address == address_of(row):
            state = state_of(row, working)
        configured: State = "open" if address == written else "closed"
        return Server(name, address, state, configured, sessions=sessions)

    def _written(self) -> tuple[list[str], str]:
        try:
            found = target(filechange.read(self.config), self.database)
        except CheckFailed as error:
            return [str(error)], ""
        if found is None:
            return [f"{self.config} has no entry {self.database!r} under [databases]"], ""
        return [], f"{found[0]}:{found[1]}"

    def _strays(self, row: Mapping[str, str], written: str) -> list[str]:
        now = address_of(row)
        told = []
        if now not in self.servers.values():
            told.append(f"it points at {now}, which is none of `servers`")
        if written and written != now:
            told.append(f"it points at {now}, and at {written} in {self.config}")
        return told
