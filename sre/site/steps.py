"""What is done to build a lost cluster anew, in order? (effects, by the hands of others)

No traffic before everything is proven: closed first, opened last. The first node is restored, the
others are copied from it; commits wait for them before a client may write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError
from sre.core.secrets import Secret, redactor
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pg.after import After
from sre.failover.clusters.pg.asking import Connection, Line
from sre.failover.clusters.pg.conninfo import words_of
from sre.failover.clusters.pg.hands import Hands
from sre.failover.clusters.pg.quorum import parse_names
from sre.failover.engine import Decision, Memory, Step
from sre.site.checking import invariants_hold, loss_of
from sre.site.landing import Landing
from sre.site.others import Others
from sre.site.source import Source

__all__ = ["rebuild_steps"]

Note = Mapping[str, Any]
_DAYS = 7 * 86400.0
_QUIET = "set log_statement = 'none'; set log_min_error_statement = 'panic'"
_FILE_NAMES = """select setting from pg_file_settings where name = 'synchronous_standby_names'
 and sourcefile not like '%/postgresql.auto.conf' order by seqno desc limit 1"""


def rebuild_steps(
    hands: Hands,
    switches: Switches,
    decision: Decision,
    source: Source,
    replication: Secret | None,
    front: Secret | None,
) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do = _Rebuilding(hands, switches, decision, source, replication, front)
    others, new = Others(hands, decision), decision.new
    after = After(hands, switches, decision)
    steps = []
    if switches.some:
        steps.append(Step("close", "no work for any node", do.close, do.reopen, phase="traffic"))
    steps += [
        Step("restore", f"restore {source.database} from {source.store} for {new}", do.restore,
             do.drop, seconds=_DAYS),
        Step("place", f"give it to {new} as its data", do.place, no_return=True, phase="restore",
             seconds=_DAYS),
        Step("configure", f"prepare the settings of {new}", do.configure, phase="start"),
        Step("start", f"start {new} and wait until it is primary", do.start, seconds=3600),
        Step("verify", "see that the database keeps its promises", do.verify, seconds=3600),
        Step("prepare", "see that standbys can log in", do.prepare, phase="standbys"),
    ]  # fmt: skip
    if decision.facts["siblings"]:
        listed = ", ".join(decision.facts["siblings"])
        steps.append(Step("build", f"copy {new} to {listed}, and see that they stream",
                          others.build, phase="standbys", vital=False, seconds=_DAYS))  # fmt: skip
    steps.append(Step("synchronous", "let commits wait for standbys", do.synchronous, seconds=120))
    steps += after.to_the_new()
    if front is not None:
        steps.append(Step("front", "write through the front door", do.through, phase="write",
                          seconds=60))  # fmt: skip
    steps.append(Step("tidy", "remove what is not needed any more, tell what was lost", do.tidy,
                      vital=False, seconds=600))  # fmt: skip
    return tuple(steps)


class _Rebuilding:
    """The acts of one rebuilding."""

    def __init__(
        self,
        hands: Hands,
        switches: Switches,
        decision: Decision,
        source: Source,
        replication: Secret | None,
        front: Secret | None,
    ) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.source, self.replication, self.front = source, replication, front
        self.facts, self.new = decision.facts, decision.new
        self.node = hands.ground.node(decision.new)
        self.landing = Landing(source, self.node, decision.facts)

    def close(self, _memory: Memory, deadline: Deadline) -> Note:
        for node in self.hands.ground.nodes:
            self.switches.close(node.name, deadline, waiting=False)
        self.switches.settle(deadline)
        return {}

    def reopen(self, _memory: Memory, deadline: Deadline) -> None:
        """As it was: it leads nowhere, but to whoever comes up there."""
        for node in self.hands.ground.nodes:
            if node.server in self.facts["open"]:
                self.switches.open(node.name, deadline)

    def restore(self, _memory: Memory, deadline: Deadline) -> Note:
        return self.landing.restore(deadline)

    def drop(self, _memory: Memory, _deadline: Deadline) -> None:
        """Nothing of it stays beside an empty folder."""
        self.landing.drop()

    def place(self, _memory: Memory, deadline: Deadline) -> Note:
        return self.landing.place(deadline)

    def configure(self, memory: Memory, deadline: Deadline) -> Note:
        if self.hands.looker.answers(self.new):
            return {}
        host, port = self.hands.looker.addresses()[self.new]
        promote = not memory["restore"]["recovered"]
        return self.landing.configure(port, host, deadline, promote=promote)

    def start(self, memory: Memory, deadline: Deadline) -> Note:
        node, hands = self.node, self.hands
        if node.control.life(node.service, deadline).state != "alive":
            node.control.unmask(node.service, deadline)
            node.control.start(node.service, deadline)
        hands.until(f"{self.new} answers", lambda: hands.looker.answers(self.new), deadline)
        if not memory["restore"]["recovered"] and hands.recovering(self.new, deadline):
            hands.value(self.new, "select pg_promote(false)", deadline)
        hands.until(f"{self.new} is primary",
                    lambda: not hands.recovering(self.new, deadline), deadline)  # fmt: skip
        return {"timeline": hands.looker.one(self.new, deadline).timeline}

    def verify(self, memory: Memory, _deadline: Deadline) -> Note:
        assert self.node.dsn is not None  # noqa: S101  the engine refuses nodes without
        held = invariants_hold(self.source, self.node.dsn.reveal())
        return {"invariants": held, **loss_of(memory["restore"], self.facts)}

    def prepare(self, _memory: Memory, deadline: Deadline) -> Note:
        """The login of standbys is in the backup as a rule; it is made when it is not."""
        words = words_of(self.replication.reveal()) if self.replication is not None else {}
        user, password = words.get("user"), words.get("password")
        if not user:
            return {}
        if password:
            redactor.add(password)
        role = sql.SQL("create role {} login replication").format(sql.Identifier(user))
        if password:
            role += sql.SQL(" password {}").format(sql.Literal(password))

        def work(connection: Connection) -> bool:
            there = "select count(*) > 0 from pg_roles where rolname = %s"
            row = connection.execute(there, [user]).fetchone()
            if row == (True,):
                return False
            connection.execute(_QUIET)
            connection.execute(role)
            return True

        return {"made": self.hands.ask(self.new, work, deadline)}

    def synchronous(self, _memory: Memory, deadline: Deadline) -> Note:
        """Only once they stream: set earlier, every commit would hang."""
        hands = self.hands
        names = self._names(deadline)
        if not names:
            hands.change(self.new, {"synchronous_standby_names": None}, deadline)
            return {"names": ""}
        able = [each for each in self.facts["siblings"] if self._streams(each, deadline)]
        rule = parse_names(names)
        counting = [each for each in able if rule.everybody or rule.has(each)]
        if len(counting) < rule.count:
            raise CheckFailed(
                f"commits are to wait for {names}, but only {', '.join(counting) or 'nobody'} "
                "streams; traffic stays closed: mend the others and resume, or open it by hand "
                "(sre traffic)"
            )
        hands.change(self.new, {"synchronous_standby_names": names}, deadline)
        counted = (
            "select count(*) > 0 from pg_stat_replication where sync_state in ('sync', 'quorum')"
        )
        hands.until("a standby counts for commits",
                    lambda: hands.value(self.new, counted, deadline), deadline)  # fmt: skip
        return {"names": names}

    def _names(self, deadline: Deadline) -> str:
        """As declared; else as the restored configuration says; else as it last was."""
        known = str(self.facts["names"])
        if self.facts["rule"]:
            return known
        return str(self.hands.value(self.new, _FILE_NAMES, deadline) or known)

    def _streams(self, name: str, deadline: Deadline) -> bool:
        try:
            return self.hands.streams(name, deadline.within(5))
        except SreError:
            return False

    def through(self, _memory: Memory, deadline: Deadline) -> Note:
        """The same write as clients make it: through every switch."""
        assert self.front is not None  # noqa: S101  there is no such step without
        line = Line("the front door", self.front)
        text = "select pg_logical_emit_message(true, 'sre', '')"
        try:
            self.hands.until("a write through the front door",
                             lambda: bool(line.ask(lambda c: c.execute(text).fetchone(),
                                                   deadline.within(3))), deadline)  # fmt: skip
        finally:
            line.close()
        return {}

    def tidy(self, memory: Memory, _deadline: Deadline) -> Note:
        """What others read of it; what lay beside."""
        facts = self.hands.ground.facts
        if facts is not None:
            cluster, loss = self.decision.cluster, dict(memory["verify"])
            loss.pop("invariants")
            value = {"cluster": cluster, "primary": self.new, **loss}
            facts.publish(f"failover/{cluster}/rebuilt", value)
        self.landing.forget()
        return {}
