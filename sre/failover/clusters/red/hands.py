"""What is done to a node of a set by commands and by its control? (effects; all idempotent)"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient
from sre.failover.clusters.common.together import Silent
from sre.failover.clusters.common.waiting import wait_until
from sre.failover.clusters.red.asking import Line, No, Question
from sre.failover.clusters.red.history import History
from sre.failover.clusters.red.look import Looker
from sre.failover.engine import Ground, Placed

__all__ = ["Hands", "Stand"]

T = TypeVar("T")
_REPLICAOF = re.compile(rb"^[ \t]*(replicaof|slaveof)[ \t].*\n?", re.IGNORECASE | re.MULTILINE)


class Stand:
    """Where a node stands: its role, its link, its history."""

    def __init__(self, name: str, text: str) -> None:
        pairs = (line.partition(":") for line in text.splitlines())
        info = {key: value.strip() for key, colon, value in pairs if colon}
        if "role" not in info or "master_replid" not in info:
            raise Transient(f"{name} does not tell where it stands")
        self.primary = info["role"] == "master"
        self.link = info.get("master_link_status") == "up"
        self.syncing = info.get("master_sync_in_progress", "0") != "0"
        self.follows = (info.get("master_host", ""), info.get("master_port", ""))
        own = "master_repl_offset" if self.primary else "slave_repl_offset"
        self.history = History(
            info["master_replid"], int(info.get(own, "0")), info.get("master_replid2", ""),
            int(info.get("second_repl_offset", "-1")),
        )  # fmt: skip


class Hands:
    """Acts on the nodes of one cluster."""

    def __init__(
        self,
        ground: Ground,
        lines: Mapping[str, Line],
        watches: Mapping[str, Line],
        looker: Looker,
        master: str,
    ) -> None:
        self.ground, self.looker, self.master = ground, looker, master
        self.lines, self.watches = lines, watches

    def tell(self, node: str, deadline: Deadline, *question: object) -> Any:
        """One command. Raises as `Line.tell`."""
        return self.lines[node].tell(deadline, *question)

    def stand(self, node: str, deadline: Deadline) -> Stand:
        """Where a node stands. Raises as `Line.tell`."""
        return Stand(node, str(self.tell(node, deadline, "INFO", "replication")))

    def until(
        self, what: str, done: Callable[[], T | None], deadline: Deadline, on: Sequence[str] = ()
    ) -> T:
        """As `wait_until`."""
        return wait_until(self.ground, what, done, deadline, on)

    def hold(self, old: str, new: str, seconds: float, deadline: Deadline) -> tuple[str, int]:
        """Writes on `old` wait for so many seconds at most, and `new` has all that it had.

        Nobody has to live for them to go on: the server ends the pause itself.
        Returns history and offset. Raises CheckFailed, Transient.
        """
        self.tell(old, deadline, "CLIENT", "PAUSE", int(seconds * 1000), "WRITE")
        had = self.stand(old, deadline)
        if not had.primary:
            raise CheckFailed(f"{old} is no primary any more")
        replid, offset = had.history.replid, had.history.offset

        def has() -> bool:
            mine = self.stand(new, deadline).history
            if mine.replid != replid:
                raise CheckFailed(f"{new} has another history than {old}: it copies all of it anew")
            return mine.offset >= offset

        self.until(f"{new} has everything that {old} has ({offset})", has, deadline)
        return replid, offset

    def release(self, old: str, deadline: Deadline) -> None:
        """Writes that wait on `old` go on, or are told that it is a replica now."""
        self.tell(old, deadline, "CLIENT", "UNPAUSE")

    def follow(self, node: str, to: str, deadline: Deadline) -> None:
        """`node` follows `to`, and does so after it was started again."""
        host, port = self.looker.address(to)
        self.tell(node, deadline, "REPLICAOF", host, port)
        self.remember(node, deadline)

    def remember(self, node: str, deadline: Deadline) -> None:
        """Into its file what it is now; one without a file cannot."""
        with contextlib.suppress(CheckFailed):
            self.tell(node, deadline, "CONFIG", "REWRITE")

    def turn_away(self, node: str, deadline: Deadline) -> None:
        """End the sessions of a demoted primary, so that its clients look who is primary now."""
        kinds: list[Question] = [("CLIENT", "KILL", "TYPE", each) for each in ("normal", "pubsub")]
        self.lines[node].ask(kinds, deadline)

    def streams(self, node: str, to: str, deadline: Deadline) -> bool:
        """Whether a node follows another one, and has its link."""
        at = self.stand(node, deadline)
        return not at.primary and at.link and self.means(at.follows, to)

    def means(self, address: tuple[str, str], node: str) -> bool:
        """Whether an address is a node's."""
        return f"{address[0]}:{address[1]}" in self.looker.known(node)

    def priorities(self, values: Mapping[str, str], deadline: Deadline) -> None:
        """Set replica-priority; nodes that do not answer are left out."""
        for name, value in values.items():
            with contextlib.suppress(Silent):
                self.tell(name, deadline, "CONFIG", "SET", "replica-priority", value)

    def leader(self, deadline: Deadline) -> str:
        """A sentinel that answers and knows the master. Raises Transient."""
        last = "none is declared"
        for name, line in self.watches.items():
            try:
                found = line.ask([("SENTINEL", "MASTER", self.master)], deadline.within(1))
            except Silent as error:
                last = str(error)
                continue
            if not isinstance(found[0], No):
                return name
            last = f"{name}: {found[0].text}"
        raise Transient(f"no sentinel answers: {last}")

    def point_file(self, node: Placed, to: str, deadline: Deadline) -> bool:
        """A node that is down comes up as a replica of `to`; False: it has no declared file."""
        path = node.own.config
        text = node.control.read(node.service, path, deadline) if path else None
        if text is None:
            return False
        host, port = self.looker.address(to)
        body = _REPLICAOF.sub(b"", text)
        body += b"" if body.endswith(b"\n") or not body else b"\n"
        line = f"replicaof {host} {port}\n".encode()
        if body + line != text:
            node.control.write(node.service, path, body + line, deadline)
        return True

    def start_following(self, node: Placed, to: str, deadline: Deadline) -> None:
        """Start a node that is down, so that it never takes a write."""
        service = node.service
        if not self.point_file(node, to, deadline):
            host, port = self.looker.address(to)
            more = ("--replicaof", f"{host} {port}")
            service = replace(service, options=(*service.options, *more))
        node.control.start(service, deadline)
