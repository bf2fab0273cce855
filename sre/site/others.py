"""How do the other nodes become standbys of the one that was restored? (effects)"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.failover.clusters.pg.conninfo import following, setting_line
from sre.failover.clusters.pg.hands import Hands
from sre.failover.clusters.pg.rebuild import Rebuild
from sre.failover.engine import Decision, Memory, Placed
from sre.site.landing import without

__all__ = ["Others"]

_NOT_THEIRS = ("port", "synchronous_standby_names", "primary_conninfo", "primary_slot_name")


class Others:
    """The nodes that are copied."""

    def __init__(self, hands: Hands, decision: Decision) -> None:
        self.hands, self.decision = hands, decision

    def build(self, _memory: Memory, deadline: Deadline) -> Mapping[str, Any]:
        """All at once. Raises the first error, once all have ended."""
        names: list[str] = list(self.decision.facts["siblings"])
        return self.hands.each(names, partial(self._one, deadline=deadline))

    def _one(self, name: str, deadline: Deadline) -> Mapping[str, Any]:
        """Copied, started as a standby, seen to stream; finds what a run before has done."""
        hands, new = self.hands, self.decision.new
        node = hands.ground.node(name)
        noted: Mapping[str, Any] = {}
        if not hands.looker.answers(name):
            if not self._copied(node, deadline):
                rebuild = Rebuild(hands, node)
                version = int(hands.looker.one(new, deadline).more["version"])
                noted = rebuild.rebuild(new, deadline, version=version, rewindable=False)
            self._start(node, deadline)
        until = deadline.within(120)
        hands.until(f"{name} streams from {new}", lambda: hands.streams(name, until), until)
        Rebuild(hands, node).clean(deadline)
        return {key: value for key, value in noted.items() if key != "because"}

    def _copied(self, node: Placed, deadline: Deadline) -> bool:
        """It was empty, and gets its name only when it is whole."""
        path = f"{node.service.data_dir.rstrip('/')}/PG_VERSION"
        return node.control.read(node.service, path, deadline) is not None

    def _start(self, node: Placed, deadline: Deadline) -> None:
        hands, new, service = self.hands, self.decision.new, node.service
        path = f"{service.data_dir.rstrip('/')}/postgresql.auto.conf"
        before = node.control.read(service, path, deadline) or b""
        text = without(before.decode("utf-8", "surrogateescape"), _NOT_THEIRS)
        text += setting_line("port", hands.looker.addresses()[node.name][1])
        node.control.write(service, path, text.encode("utf-8", "surrogateescape"), deadline)
        hands.as_standby(node, new, self._login(node), "", deadline)
        if node.control.life(service, deadline).state != "alive":
            node.control.unmask(service, deadline)
            node.control.start(service, deadline)
        until = deadline.within(300)
        hands.until(f"{node.name} answers", lambda: hands.looker.answers(node.name), until)

    def _login(self, node: Placed) -> str:
        """How it logs in where no `replication:` is declared: as its own dsn does."""
        new = self.hands.ground.node(self.decision.new)
        assert new.dsn is not None  # noqa: S101  the engine refuses nodes without
        host, port = self.hands.looker.addresses()[new.name]
        template = following(new.dsn.reveal(), host, port, node.name)
        return " ".join(_words(template))


def _words(template: str) -> list[str]:
    """A connection string without the database: a standby names none."""
    from psycopg import conninfo  # noqa: PLC0415  beside the one use

    words = conninfo.conninfo_to_dict(template)
    words.pop("dbname", None)
    return [conninfo.make_conninfo("", **words)]
