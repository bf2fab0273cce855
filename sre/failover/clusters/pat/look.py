"""How is a whole Patroni cluster asked at once, and what is kept between two looks? (effects)"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from sre.core.clock import Deadline
from sre.core.errors import SreError, UsageError
from sre.failover.clusters.common.together import Silent, all_of, together
from sre.failover.clusters.pat.api import Answer, Api
from sre.failover.clusters.pat.said import Heard, Said
from sre.failover.clusters.pat.seen import assemble
from sre.failover.clusters.pat.tame import tamed
from sre.failover.engine import Ground, Placed
from sre.failover.nodes import Life
from sre.failover.snapshot import Snapshot
from sre.failover.switches import Way

if TYPE_CHECKING:
    from sre.failover.clusters.pg.asking import Line

__all__ = ["Looker"]

_ASK_SECONDS = 2.5
_REMEMBER_EVERY = 1.0
_FORGET_AFTER = 120.0
_READ = b"select pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on'"
_WATCHDOG = "/sys/class/watchdog/watchdog0/state"


class Looker:
    """Looks at one cluster, again and again."""

    def __init__(
        self, ground: Ground, apis: Mapping[str, Api], lines: Mapping[str, Line],
        members: Mapping[str, str], scope: str,
    ) -> None:  # fmt: skip
        self._ground, self._apis, self._lines = ground, apis, lines
        self._members, self._scope = members, scope
        self._remembered: dict[str, Any] | None = None
        self._published = float("-inf")
        self._watchdogs: dict[str, str] = {}

    def look(self, deadline: Deadline) -> Snapshot:
        """Everybody at once. Raises UsageError: a secret or a dsn cannot be read."""
        ground = self._ground
        jobs: dict[str, Callable[[], Any]] = {}
        until = deadline.within(_ASK_SECONDS)
        for node in ground.nodes:
            for what in ("patroni", "cluster", "config"):
                api = self._apis[node.name]
                jobs[f"{what} {node.name}"] = partial(api.get, f"/{what}", until)
            if node.name in self._lines:
                jobs[f"sql {node.name}"] = partial(self._sql, node.name, until)
        for name, switch in ground.switches.items():
            jobs[f"switch {name}"] = partial(switch.look, until)
        found = together(jobs)
        said = all_of({n.name: partial(self._said, n, found, deadline) for n in ground.nodes})
        ways: dict[str, Way | str] = {
            name: str(way) if isinstance(way := found[f"switch {name}"], SreError) else way
            for name in ground.switches
        }
        heard = Heard(
            said, self._members, {n.name: n.own.api for n in ground.nodes}, ways,
            {n.name: n.server for n in ground.nodes}, self._recall(), self._scope, self._paused(),
        )  # fmt: skip
        seen = assemble(ground.cluster, ground.clock.wall(), heard)
        self._remember(seen)
        return seen

    def state(self, name: str, deadline: Deadline) -> Mapping[str, Any]:
        """What one Patroni says of itself. Raises as `Api.ask`; Silent when it speaks oddly."""
        own = _mapping(self._apis[name].get("/patroni", deadline.within(_ASK_SECONDS)))
        if own is None:
            raise Silent(f"what answers at the api of {name} does not speak as Patroni", "odd")
        return tamed(Said(own)).patroni or {}

    def _said(self, node: Placed, found: Mapping[str, Any], deadline: Deadline) -> Said:
        first = found[f"patroni {node.name}"]
        sql = found.get(f"sql {node.name}")
        for each in (first, sql):
            if isinstance(each, UsageError):
                raise each
        sql = None if isinstance(sql, SreError) else sql
        own = None if isinstance(first, SreError) else _mapping(first)
        if own is None:
            state, why = _silence(first)
            return Said(sql=sql, state=state, why=why, life=self._life(node, deadline))
        cluster, config = found[f"cluster {node.name}"], found[f"config {node.name}"]
        return Said(
            own,
            None if isinstance(cluster, SreError) else _mapping(cluster, "members"),
            None if isinstance(config, SreError) else _mapping(config, ""),
            sql, watchdog=self._watchdog(node, deadline),
        )  # fmt: skip

    def _sql(self, name: str, deadline: Deadline) -> dict[str, Any]:
        row = self._lines[name].ask(lambda c: c.execute(_READ).fetchone(), deadline)
        return {"recovering": bool(row[0]), "read_only": bool(row[1])} if row else {}

    def _life(self, node: Placed, deadline: Deadline) -> Life | None:
        if not node.service.data_dir:
            return None
        return node.control.life(node.service, deadline.within(_ASK_SECONDS))

    def _watchdog(self, node: Placed, deadline: Deadline) -> str:
        """`armed`, `not armed`, or `unknown`: the kernel says it, Patroni does not. Asked once."""
        if not node.service.data_dir:
            return "unknown"
        if node.name not in self._watchdogs:
            word = "unknown"
            with contextlib.suppress(SreError):
                raw = node.control.read(node.service, _WATCHDOG, deadline.within(_ASK_SECONDS))
                active = raw is not None and raw.strip() == b"active"
                word = "armed" if active else "not armed"
            self._watchdogs[node.name] = word
        return self._watchdogs[node.name]

    def _recall(self) -> Mapping[str, Any]:
        """What was last seen of a healthy cluster, by whoever looked."""
        if self._ground.facts is not None:
            with contextlib.suppress(SreError):
                fact = self._ground.facts.read(self._fact)
                if fact is not None:
                    self._remembered = dict(fact.value)
        return self._remembered or {}

    def _paused(self) -> str:
        """Who paused it through us, and why; empty: nobody that we know of."""
        if self._ground.facts is None:
            return ""
        with contextlib.suppress(SreError):
            fact = self._ground.facts.read(f"failover/{self._ground.cluster}/pause")
            if fact is not None and fact.value.get("paused"):
                when = datetime.fromtimestamp(fact.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
                reason = f": {fact.value['reason']}" if fact.value.get("reason") else ""
                return f"{fact.value.get('by')} at {when}{reason}"
        return ""

    @property
    def _fact(self) -> str:
        return f"failover/{self._ground.cluster}/patroni"

    def _remember(self, seen: Snapshot) -> None:
        """Since when there is no leader that runs, and what the last one had."""
        now, before = self._ground.clock.now(), self._remembered or {}
        leader = str(seen.more["leader"])
        node = seen.node(leader)
        if leader and node.role == "primary":
            if now - self._published < _REMEMBER_EVERY and "leaderless" not in before:
                return
            sync = [each.name for each in seen.nodes if each.synchronous]
            value: dict[str, Any] = {
                "leader": leader, "timeline": node.timeline, "position": node.position,
                "sync": sync, "at": seen.at,
            }  # fmt: skip
        elif any(each.reachable for each in seen.nodes):
            looked = float(before.get("looked", float("-inf")))
            known = "leaderless" in before and seen.at - looked < _FORGET_AFTER
            since = before["leaderless"] if known else seen.at
            value = {**before, "leaderless": since, "looked": seen.at}
        else:
            return
        self._published, self._remembered = now, value
        if self._ground.facts is not None:
            with contextlib.suppress(SreError):  # to look must not fail for a full disk
                self._ground.facts.publish(self._fact, value)


def _mapping(answer: Answer, needs: str = "state") -> Mapping[str, Any] | None:
    """The answer, when it is what Patroni would say."""
    body = answer.body
    if not isinstance(body, dict) or (needs and needs not in body) or answer.status >= 600:
        return None
    return body if needs == "state" or answer.ok else None


def _silence(first: Any) -> tuple[str, str]:
    """Why there is nothing to read of a member."""
    if isinstance(first, Silent):
        return first.state, str(first)
    if isinstance(first, SreError):
        return "no-login", str(first)
    return "odd", f"what answers there ({first.status}) does not speak as Patroni: {first.words}"
