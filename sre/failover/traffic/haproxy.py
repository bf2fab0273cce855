"""Which server behind HAProxy gets work, now and after its next reload?

Run time first, through HAProxy's own socket: that is the part that clients wait for. Then the
file, so that a reload or a restart does not bring back what was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.process import run
from sre.failover.switches import Server, Traffic, Way
from sre.failover.traffic import filechange, haproxymap
from sre.failover.traffic.haproxyfile import Declared, Wish, edited, servers
from sre.failover.traffic.haproxyruntime import (
    Held,
    Live,
    check_address,
    end_old,
    old_sessions,
    tell,
)
from sre.failover.traffic.haproxyview import compared, merged

__all__ = ["HaproxyTraffic"]

_POLL = 0.005
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")


@dataclass(frozen=True)
class HaproxyTraffic:
    """The servers of HAProxy's backends.

    Attributes:
        socket: the runtime API, `stats socket … level admin`: a path, or HOST:PORT.
        backend: the backend (or `listen` section) whose servers they are, or several.
        config: HAProxy's file with that backend; without it a reload forgets every change.
        check: how a draft of the file is checked; `{file}` stands for the draft.
        reload: a program and its arguments that reload HAProxy after its file was changed; left
            out, nothing is ever reloaded: it is not needed.
        master: the master's socket (`haproxy -S`), to reach workers that a reload left behind.
        maintenance: a map file of HAProxy's whose key `page` is `on` or `off`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    socket: str
    backend: str | tuple[str, ...]
    config: str = ""
    check: tuple[str, ...] = ("haproxy", "-c", "-f", "{file}")
    reload: tuple[str, ...] = ()
    master: str = ""
    maintenance: str = ""

    def __post_init__(self) -> None:
        for address in (self.socket, *([self.master] if self.master else [])):
            check_address(address)
        if not self.backends or not all(map(_NAME.fullmatch, self.backends)):
            raise ValueError("backend is the name of a backend, or a list of such names")
        if len(set(self.backends)) < len(self.backends):
            raise ValueError("backend names one twice")
        if not any("{file}" in part for part in self.check[1:]):
            raise ValueError("check needs the argument '{file}': [haproxy, -c, -f, '{file}']")
        if self.reload and not self.config:
            raise ValueError("reload without config; give the file that HAProxy reads")

    @property
    def backends(self) -> tuple[str, ...]:
        """The names, also when it is only one."""
        return (self.backend,) if isinstance(self.backend, str) else self.backend

    def look(self, deadline: Deadline) -> Way:
        """What it does now, and in what its file differs."""
        live = tell(self.socket, (), self.backends, deadline)
        old = self._old(deadline)
        declared, problems = self._declared()
        if self.config and not problems:
            problems = compared(live, declared, self.config)
        notes = []
        if self.config == "":
            notes.append("no `config`: a reload of HAProxy forgets what is changed here")
        if old:
            notes.append(f"of its sessions, {len(old)} are with workers from before a reload")
        on = False
        if self.maintenance:
            on, wrong = haproxymap.look(self.socket, self.maintenance, deadline)
            problems += wrong
        return Way(merged(live, old, declared), tuple(problems), on, tuple(notes))

    def close(self, server: str, deadline: Deadline) -> None:
        """Maintenance, sessions shut down; returns when it has none."""
        here = self._places(server, deadline)
        self._close(here, deadline)
        self._write(here, deadline)

    def drain(self, server: str, deadline: Deadline) -> None:
        """Drain: sessions go on, and those that a cookie binds to it may come back."""
        here = self._places(server, deadline)
        drains = [f"set server {place} state drain" for place in here]
        tell(self.socket, drains, self.backends, deadline)
        self._write(here, deadline)

    def open(self, server: str, deadline: Deadline) -> None:
        """Ready, with a weight above 0."""
        here = self._places(server, deadline)
        with self._alone(deadline):
            self._open(here, deadline)
        self._write(here, deadline)

    def repoint(self, server: str, deadline: Deadline) -> None:
        """All others closed, then it opened: there is no moment with two."""
        live = tell(self.socket, (), self.backends, deadline)
        here = _places_of(live, server)
        without = [each for each in self.backends if f"{each}/{server}" not in here]
        if without:
            raise UsageError(f"backend {', '.join(without)} has no server {server!r}")
        others = [each for each in map(_place, live) if each not in here]
        with self._alone(deadline):
            self._close(others, deadline)
            self._open(here, deadline)
        self._write([*others, *here], deadline)

    def weigh(self, server: str, weight: int, deadline: Deadline) -> None:
        """Its weight among the others, 0 to 256; 0 is a drain.

        Raises:
            UsageError: another weight.
        """
        if not 0 <= weight <= 256:
            raise UsageError(f"HAProxy knows weights from 0 to 256, not {weight}")
        here = self._places(server, deadline)
        weights = [f"set server {place} weight {weight}" for place in here]
        tell(self.socket, weights, self.backends, deadline)
        self._write(here, deadline)

    def maintain(self, on: bool, deadline: Deadline) -> None:  # noqa: FBT001  a state, not a mode
        """Switch the map that HAProxy's own rules ask.

        Raises:
            UsageError: there is no `maintenance`.
        """
        if not self.maintenance:
            raise UsageError("give `maintenance`, a map file that HAProxy's rules ask")
        haproxymap.put(self.socket, self.maintenance, deadline, on=on)

    def quick(self) -> Traffic:
        """The same without its file."""
        return dataclasses.replace(self, config="", reload=())

    def settle(self, deadline: Deadline) -> None:
        """The file says what run time has, for every server of the backends."""
        live = tell(self.socket, (), self.backends, deadline)
        self._write([_place(each) for each in live], deadline)

    def _places(self, server: str, deadline: Deadline) -> list[str]:
        return _places_of(tell(self.socket, (), self.backends, deadline), server)

    def _alone(self, deadline: Deadline) -> contextlib.AbstractContextManager[None]:
        """One of us at a time opens servers, or two at once would open two."""
        folder = Path(self.socket).parent if "/" in self.socket else None
        return filechange.locked(folder, deadline) if folder else contextlib.nullcontext()

    def _old(self, deadline: Deadline) -> tuple[Held, ...]:
        return old_sessions(self.master, self.backends, deadline) if self.master else ()

    def _close(self, places: Sequence[str], deadline: Deadline) -> None:
        changes = [f"set server {place} state maint" for place in places]
        while places:
            ends = [f"shutdown sessions server {place}" for place in places]
            live = tell(self.socket, [*changes, *ends], self.backends, deadline)
            old = [each for each in self._old(deadline) if each.place in places]
            end_old(self.master, old, deadline)
            held = sum(each.server.sessions or 0 for each in _among(live, places)) + len(old)
            if not held:
                return
            if deadline.passed():
                raise Transient(
                    f"{held} sessions of {', '.join(places)} do not end, though HAProxy was told"
                )
            deadline.clock.sleep(_POLL)

    def _open(self, places: Sequence[str], deadline: Deadline) -> None:
        ready = [f"set server {place} state ready" for place in places]
        live = tell(self.socket, ready, self.backends, deadline)
        idle = [each for each in _among(live, places) if each.server.weight == 0]
        if idle:
            weights = [f"set server {_place(each)} weight {each.initial or 1}" for each in idle]
            live = tell(self.socket, weights, self.backends, deadline)
        shut = [_place(each) for each in _among(live, places) if each.server.state != "open"]
        if shut:
            raise CheckFailed(
                f"{', '.join(shut)} stays out of work: what it tracks, or DNS, holds it there"
            )

    def _write(self, places: Iterable[str], deadline: Deadline) -> None:
        """The file says of `places` what run time has."""
        if not self.config:
            return
        wanted = set(places)

        def edit(text: bytes) -> bytes:  # asks anew under the file's lock: run time is the truth
            live = _among(tell(self.socket, (), self.backends, deadline), wanted)
            return edited(text, dict(map(_wish, live)))

        def check(draft: Path, left: Deadline) -> None:
            filechange.checked_by(self.check, draft, left)

        try:
            done = filechange.change(self.config, edit, check, deadline)
        except KeyError as error:
            raise CheckFailed(
                f"run time is changed, but {self.config} has no `server` line of its own for "
                f"{error.args[0]}: after a reload it is as before"
            ) from error
        if done and self.reload:
            self._reload(deadline)

    def _reload(self, deadline: Deadline) -> None:
        done = run(self.reload, deadline)
        if not done.ok:
            words = done.stderr.strip()[-300:] or f"exit code {done.returncode}"
            raise CheckFailed(f"run time and file are changed, the reload failed: {words}")
        while True:
            try:
                if not self.look(deadline).problems:
                    return
            except Transient:
                if deadline.passed():
                    raise
            if deadline.passed():
                raise Transient("HAProxy does not show its new file after the reload; look again")
            deadline.clock.sleep(_POLL)

    def _declared(self) -> tuple[tuple[Declared, ...], list[str]]:
        if not self.config:
            return (), []
        try:
            return servers(filechange.read(self.config), self.backends), []
        except CheckFailed as error:
            return (), [str(error)]


def _wish(live: Live) -> tuple[tuple[str, str], Wish]:
    weight = None if live.steered else live.server.weight
    return (live.backend, live.server.name), Wish(live.off, weight)


def _place(live: Live) -> str:
    return f"{live.backend}/{live.server.name}"


def _among(live: Iterable[Live], places: Iterable[str]) -> Iterator[Live]:
    wanted = set(places)
    return (each for each in live if _place(each) in wanted)


def _places_of(live: Sequence[Live], server: str) -> list[str]:
    found = [_place(each) for each in live if each.server.name == server]
    if not found:
        known: dict[str, Server] = {each.server.name: each.server for each in live}
        raise UsageError(f"there is no server {server!r}; known: {', '.join(known) or 'none'}")
    return found
