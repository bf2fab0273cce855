"""What goes wrong in one random run, and at which line of the tool's journal?

A seed decides everything: what is wanted, how the primary dies, what breaks in the middle, at
which line, and whether the tool waits meanwhile or goes on.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.switch.stage import (
    Battle,
    battle,
    heal,
    only,
    others,
    quick,
    reload_haproxy,
    restarted_haproxy,
    start_by_hand,
    states,
)
from tests.faults.switch.tool import Tool, lines_of, tool
from tests.servers.pgset import PgSet

__all__ = ["CODES", "Storm"]

CODES = {"ok": 0, "rolled_back": 1, "refused": 5, "incomplete": 8, "unknown": 8}
LOST = {"switchover": ("nothing",), "failover": ("crash", "postmaster", "freeze")}
MIDDLE = (
    "nothing", "kill-tool", "kill-tool", "reload", "restart", "kill-new", "freeze-new",
    "kill-sibling", "freeze-sibling", "pause-replay", "by-hand", "cancel-waits", "clock",
)  # fmt: skip
_LINES = {"switchover": 24, "failover": 22}


class Storm:
    """One run. `story` is what happened, for whoever reads of a failure."""

    def __init__(
        self, seed: int, pgset: PgSet, folder: Path, stack: contextlib.ExitStack, **fixed: Any
    ) -> None:
        """`fixed`: what is not left to the seed, such as middle="reload"."""
        self.seed, self.chance = seed, random.Random(seed)
        self.pgset, self.folder, self._stack = pgset, folder, stack
        self.action = self.chance.choice(("switchover", "failover"))
        self.loss = self.chance.choice(LOST[self.action])
        self.middle = self.chance.choice(MIDDLE)
        self.line = str(self.chance.randint(1, _LINES[self.action]))
        self.waits = self.chance.random() < 0.5
        vars(self).update(fixed)
        self.old = only(pgset)
        self.new = self.chance.choice(others(pgset, self.old))
        pace = "waits" if self.waits else "goes on"
        self.story = [
            f"seed {seed}: {self.action} from {self.old}, {self.loss}; {self.middle} at line "
            f"{self.line} ({pace})"
        ]
        self.code, self.said, self.over = -1, dict[str, Any](), False

    def __str__(self) -> str:
        return "; ".join(self.story)

    def blow(self) -> None:
        """The run, and what must hold of it."""
        before = self._kept()
        with battle(self.pgset, self.folder) as field:
            self._lose()
            self._operate()
            self._truthful(before)
            self._resume()
            time.sleep(0.15)
            late = (self.over or not self.waits) and self.middle in ("reload", "restart")
            primary = heal(self.pgset, front=late)
            self._judge(field, primary)

    def _lose(self) -> None:
        node = self.pgset[self.old]
        if self.loss == "crash":
            node.kill()
        elif self.loss == "postmaster":
            os.kill(int((node.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        elif self.loss == "freeze":
            node.signal(signal.SIGSTOP)
            time.sleep(2.6)  # or its standbys have just heard of it, and it is no failover

    def _operate(self) -> None:
        words = [self.action, "orders"]
        if self.action == "switchover":
            words += ["--to", self.new]
        what = {"kill-tool": "kill", "clock": self.chance.choice(["86400", "-86400"])}
        with tool(self.pgset, *words, at=self.line, what=what.get(self.middle, "call")) as running:
            if what.get(self.middle) is None and running.called():
                self._break(running)
            self.code, self.said = running.end()
        self.story.append(f"ended {self.code} {self.said.get('outcome') or self.said}")

    def _break(self, running: Tool) -> None:
        """What breaks; a tool that does not wait goes on at once, and is up to 50 ms ahead."""
        decided = lines_of(self.pgset)[0]["decision"]
        self.new = str(decided["new"])
        last = lines_of(self.pgset)[-1]
        self.over = last["event"] == "outcome"
        self.story.append(f"at {last.get('step') or last['event']}")
        if not self.waits:
            running.go()
            time.sleep(self.chance.random() * 0.05)
        try:
            getattr(self, "_" + self.middle.replace("-", "_"))()
        except psycopg.Error as error:  # whoever should be broken was not there
            self.story.append(f"({type(error).__name__})")
        if self.waits:
            running.go()

    def _nothing(self) -> None:
        pass

    def _reload(self) -> None:
        reload_haproxy(self.pgset)

    def _restart(self) -> None:
        self._stack.enter_context(restarted_haproxy(self.pgset))

    def _kill_new(self) -> None:
        self.pgset[self.new].kill()

    def _freeze_new(self) -> None:
        self._frozen(self.new)

    @property
    def _sibling(self) -> str:
        return next(name for name in others(self.pgset, self.old) if name != self.new)

    def _kill_sibling(self) -> None:
        self.pgset[self._sibling].kill()

    def _freeze_sibling(self) -> None:
        self._frozen(self._sibling)

    def _frozen(self, name: str) -> None:
        """It wakes by itself, while the tool is at work or after it gave up."""
        node, seconds = self.pgset[name], self.chance.choice([0.3, 1.0, 3.0])
        node.signal(signal.SIGSTOP)
        thread = threading.Timer(seconds, node.signal, [signal.SIGCONT])
        thread.start()
        self._stack.callback(thread.join)

    def _pause_replay(self) -> None:
        self.pgset[self.new].sql("select pg_wal_replay_pause()")

    def _by_hand(self) -> None:
        if not self.pgset[self.old].pids():
            with contextlib.suppress(AssertionError):  # the tool may be killing it meanwhile
                start_by_hand(self.pgset, self.old)

    def _cancel_waits(self) -> None:
        """Whoever waits for a standby is cancelled: PostgreSQL then acknowledges with a warning."""
        for name in self.pgset.primaries():
            for _ in range(5):
                self.pgset[name].sql(
                    "select pg_cancel_backend(pid) from pg_stat_activity where wait_event='SyncRep'"
                )

    def _kept(self) -> tuple[str, list[bytes]]:
        """What a refused operation must not have touched."""
        files = [node.data / "postgresql.auto.conf" for node in self.pgset.nodes.values()]
        return self.old, [path.read_bytes() for path in (self.pgset.haproxy, *files)]

    def _truthful(self, before: Any) -> None:
        """The tool's word is what is seen."""
        outcome = self.said.get("outcome", "")
        if self.code == -9:
            assert self.middle == "kill-tool", self
            return
        assert CODES.get(outcome) == self.code, f"{self} {self.said}"
        if outcome == "refused":
            assert self.said["reasons"], self
            assert before == self._kept(), self
        elif outcome == "ok":
            self._is_ok(str(self.said["new"]))
        elif outcome == "rolled_back":
            assert self.said["new"] not in self.pgset.primaries(), self
            if self.action == "switchover":
                assert self.pgset.primaries() == [self.old], self
        else:
            assert self.said["reasons"], self

    def _is_ok(self, new: str) -> None:
        """Asked of the servers themselves. What broke once it had looked is not its fault."""
        late = self.over or (not self.waits and self.middle != "nothing")
        assert self.pgset.primaries() == [new] or late, self
        if not late:
            gone = {self.old} if self.action == "failover" else set()
            left = set(others(self.pgset, new)) - gone
            assert left <= set(self.pgset.standbys(new)), f"{self} {left}"
        if self.middle not in ("reload", "restart") or not late:
            shown = states(self.pgset)
            assert [name for name, state in shown.items() if "open" in state] == [new], self

    def _resume(self) -> None:
        """A killed one goes on, and comes to a true end as well."""
        if self.code != -9:
            return
        self.code, self.said = quick(self.pgset, "resume", "orders")
        self.story.append(f"resumed {self.code} {self.said.get('outcome')}")
        if self.code == 2:  # it was killed before its first line or after its last one
            return
        assert CODES.get(self.said["outcome"]) == self.code, f"{self} {self.said}"
        assert self.said["outcome"] == "ok", f"{self} {self.said['reasons']}"
        self._is_ok(str(self.said["new"]))

    def _judge(self, field: Battle, primary: str) -> None:
        shown = states(self.pgset)
        wanted = {n: "open/open" if n == primary else "closed/closed" for n in self.pgset.nodes}
        assert shown == wanted, f"{self} {shown}"
        time.sleep(0.2)
        report = field.stop()
        verdict = report.verdict
        assert verdict is not None, f"{self} {report.unread}"
        self.story.append(f"{report.counts.acknowledged} acknowledged, {verdict.lost} lost, "
                          f"{report.counts.ambiguous} ambiguous")  # fmt: skip
        assert (verdict.lost, verdict.unexpected, verdict.duplicates) == (0, 0, 0), self
        assert report.counts.acknowledged > 50, self
        assert field.watch.two() == "", f"{self} {field.watch.two()}"
