"""Which server of an upstream gets work from nginx, and do its workers know it?

nginx reads its file when it is reloaded: a change here is an edit, a test, one reload, and the
proof that new workers took over. Sessions stay with the workers that they began with.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.process import run
from sre.failover.switches import Server, State, Way
from sre.failover.traffic import filechange
from sre.failover.traffic.nginxfile import Wish, edited, servers, upstreams, value_of
from sre.failover.traffic.nginxworkers import Generation, generation

__all__ = ["NginxTraffic"]

_POLL = 0.01


@dataclass(frozen=True)
class NginxTraffic:
    """One upstream of nginx, of its http or its stream module.

    Attributes:
        config: the file with the upstream.
        upstream: its name.
        servers: what each is called here -> its address as the file writes it; the addresses
            themselves unless told.
        main: the file that nginx is started with, when `config` is only included by it.
        pid: the file with the master's process number; as `pid` in the main file says.
        test: how the configuration is tested; `nginx -t -c MAIN` unless told.
        reload: how nginx is reloaded; `nginx -s reload -c MAIN` unless told.
        maintenance: a file whose existence nginx' own rules ask, to show the maintenance page.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    config: str
    upstream: str
    servers: Mapping[str, str] = field(default_factory=dict)
    main: str = ""
    pid: str = ""
    test: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    maintenance: str = ""

    def __post_init__(self) -> None:
        if not self.config or not self.upstream:
            raise ValueError("config is the file with the upstream, upstream its name")
        if len(set(self.servers.values())) < len(self.servers):
            raise ValueError("servers gives two names to one address")

    def look(self, deadline: Deadline) -> Way:
        """The file, and whether the workers were started after its last change."""
        found = servers(filechange.read(self.config), self.upstream)
        if not found:
            raise CheckFailed(self._no_upstream())
        workers = generation(self._pid())
        stale = workers.older_than(self.config)
        problems = []
        if stale:
            problems.append(f"{self.config} was changed after nginx was reloaded; reload it")
        written = [each.address for each in found]
        problems += [
            f"{name} ({address}) is not in upstream {self.upstream}"
            for name, address in self.servers.items()
            if address not in written
        ]
        names = {address: name for name, address in self.servers.items()}
        ways = []
        for each in found:
            configured: State = "closed" if each.down else "open"
            state: State = "draining" if each.down and workers.leaving else configured
            name = names.get(each.address, each.address)
            now: State = "unknown" if stale else state
            ways.append(Server(name, each.address, now, configured, weight=each.weight))
        notes = []
        if workers.leaving:
            notes.append(f"{len(workers.leaving)} old workers still finish their sessions")
        on = bool(self.maintenance) and Path(self.maintenance).exists()
        return Way(tuple(ways), tuple(problems), on, tuple(notes))

    def close(self, server: str, deadline: Deadline) -> None:
        """`down`, and the workers of before are gone: ended when they take half the time.

        They may have sessions with other servers, too; those end with them.
        """
        self._change({server: Wish(down=True)}, deadline)
        self._until_gone(deadline)

    def drain(self, server: str, deadline: Deadline) -> None:
        """`down`; workers of before finish their sessions."""
        self._change({server: Wish(down=True)}, deadline)

    def open(self, server: str, deadline: Deadline) -> None:
        """No longer `down`."""
        self._change({server: Wish(down=False)}, deadline)

    def repoint(self, server: str, deadline: Deadline) -> None:
        """All others `down` and it not, in one reload."""
        self._address(server)
        names = {address: name for name, address in self.servers.items()}
        found = servers(filechange.read(self.config), self.upstream)
        every = [names.get(each.address, each.address) for each in found]
        self._change({each: Wish(down=each != server) for each in every}, deadline)
        self._until_gone(deadline)

    def weigh(self, server: str, weight: int, deadline: Deadline) -> None:
        """`weight=`, from 1.

        Raises:
            UsageError: a weight below 1; `drain` is that.
        """
        if not 1 <= weight <= 65535:
            raise UsageError(f"nginx knows weights from 1 to 65535, not {weight}; or drain it")
        self._change({server: Wish(weight=weight)}, deadline)

    def maintain(self, on: bool, deadline: Deadline) -> None:  # noqa: ARG002,FBT001  a state
        """Make or remove the file that nginx' rules ask; no reload.

        Raises:
            UsageError: there is no `maintenance`.
            CheckFailed: the file cannot be made or removed.
        """
        if not self.maintenance:
            raise UsageError("give `maintenance`, a file whose existence nginx' rules ask")
        flag = Path(self.maintenance)
        try:
            flag.touch() if on else flag.unlink(missing_ok=True)
        except OSError as error:
            raise CheckFailed(f"cannot change {flag}: {error.strerror}") from error

    def _change(self, wishes: Mapping[str, Wish], deadline: Deadline) -> None:
        by_address = {self._address(name): wish for name, wish in wishes.items()}
        before = generation(self._pid())
        text = filechange.read(self.config)

        def edit(text: bytes) -> bytes:
            return edited(text, self.upstream, by_address)

        own = Path(self.config).resolve() == Path(self._main()).resolve()
        passed: Callable[[Path, Deadline], None] = self._test if own else _later
        done = filechange.change(self.config, edit, passed, deadline)
        if done and not own:
            try:
                self._test(Path(self._main()), deadline)
            except BaseException:
                filechange.replace(Path(self.config), text)
                raise
        if done or before.older_than(self.config):
            self._reload(before, deadline)

    def _test(self, draft: Path, deadline: Deadline) -> None:
        argv = self.test or ("nginx", "-t", "-c", "{file}")
        filechange.checked_by(argv, draft.absolute(), deadline)

    def _reload(self, before: Generation, deadline: Deadline) -> None:
        argv = self.reload or ("nginx", "-s", "reload", "-c", str(Path(self._main()).absolute()))
        done = run(argv, deadline)
        if not done.ok:
            raise CheckFailed(f"the file is changed, the reload failed: {done.stderr[-300:]}")
        while True:
            now = generation(self._pid())
            if now.current - before.current and not now.current & before.current:
                return
            if deadline.passed():
                raise CheckFailed(
                    "nginx did not start new workers after the reload; its error log says why"
                )
            deadline.clock.sleep(_POLL)

    def _until_gone(self, deadline: Deadline) -> None:
        patience = deadline.within(deadline.left() / 2)
        while leaving := generation(self._pid()).leaving:
            if deadline.passed():
                raise Transient(f"{len(leaving)} old workers of nginx do not end")
            for pid in leaving if patience.passed() else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            deadline.clock.sleep(_POLL)

    def _address(self, server: str) -> str:
        found = [each.address for each in servers(filechange.read(self.config), self.upstream)]
        if not found:
            raise CheckFailed(self._no_upstream())
        names = {address: name for name, address in self.servers.items()}
        for address in found:
            if names.get(address, address) == server:
                return address
        known = ", ".join(names.get(each, each) for each in found)
        raise UsageError(f"there is no server {server!r}; known: {known}")

    def _no_upstream(self) -> str:
        known = ", ".join(upstreams(filechange.read(self.config))) or "none"
        return f"{self.config} has no upstream {self.upstream!r} with servers; it has: {known}"

    def _main(self) -> str:
        return self.main or self.config

    def _pid(self) -> str:
        return self.pid or value_of(filechange.read(self._main()), "pid") or "/run/nginx.pid"


def _later(_draft: Path, _deadline: Deadline) -> None:
    """An included file can only be tested in its place."""
