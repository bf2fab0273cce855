"""What is done when the primary is gone: cut off, compare what is left, promote the most advanced?

The old primary is fenced before anybody is promoted: its processes killed and seen dead, or, where
its control does not reach it, the declared program run. Then the standbys stop receiving, so that
what they have cannot change any more, and it is judged again whether that is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import Refused, SreError
from sre.failover.clusters.common.fence import cut_off, seen_dead
from sre.failover.clusters.common.together import Silent, together
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pg.after import After
from sre.failover.clusters.pg.hands import Hands
from sre.failover.clusters.pg.lsn import lsn_text
from sre.failover.engine import Decision, Memory, Placed, Step

__all__ = ["Fence", "failover_steps", "fence_steps"]

Note = Mapping[str, Any]


def failover_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do, after = _Failover(hands, decision), After(hands, switches, decision)
    steps = []
    if decision.old:
        steps = _fencing(hands, switches, decision.old, decision.facts)
    steps += [
        Step("freeze", "let the standbys receive no more", do.freeze, do.thaw, seconds=20),
        Step("choose", f"see that {decision.new} has the most", do.choose, seconds=30),
        Step("promote", f"make {decision.new} primary", do.promote, no_return=True, seconds=120),
        *after.to_the_new(),
        after.put_back(),
    ]
    return tuple(steps)


def fence_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """A node takes no writes, and does not come back by itself."""
    after = After(hands, switches, decision)
    steps = _fencing(hands, switches, decision.new, decision.facts)
    if switches.some:
        steps.append(Step("settle", "write it into the files of the switches", after.settle,
                          phase="files", vital=False))  # fmt: skip
    return tuple(steps)


def _fencing(hands: Hands, switches: Switches, name: str, facts: Note) -> list[Step]:
    fence = Fence(hands, switches, hands.ground.node(name), facts)
    return [
        Step("fence", f"cut {name} off: no work for it, kill it", fence.act, fence.undo,
             seconds=45),
        Step("keep-down", f"keep {name} down, and no primary if it comes back", fence.keep_down,
             fence.let_up, phase="fence", seconds=20),
    ]  # fmt: skip


class Fence:
    """A node that must not take writes any more."""

    def __init__(self, hands: Hands, switches: Switches, node: Placed, facts: Note) -> None:
        self.hands, self.switches, self.node = hands, switches, node
        self.system, self.was_open = str(facts.get("system", "")), bool(facts.get("open", True))

    def act(self, _memory: Memory, deadline: Deadline) -> Note:
        """Killed; or cut off by the declared program. Sessions end with the server behind them.

        Raises:
            Refused: neither can be done.
        """
        node, service = self.node, self.node.service
        self._own(deadline.within(5))
        found = together(
            {
                "kill": lambda: node.control.kill(service, deadline.within(10)),
                "close": lambda: self.switches.cut(node.name, deadline.within(10)),
            }
        )
        killed, closed = found["kill"], found["close"]
        if isinstance(killed, SreError):
            by = cut_off(node, killed, self._answers, deadline)
        else:
            seen_dead(node, self._answers)
            by = {"by": "control"}
        if isinstance(closed, SreError):
            self.switches.cut(node.name, deadline.within(5))
        return by

    def _answers(self) -> bool:
        return self.hands.looker.answers(self.node.name)

    def _own(self, deadline: Deadline) -> None:
        """What its folder says of itself: another database there is nobody's to kill. Where
        nothing can be read, as on a broken disk, the declaration is believed."""
        try:
            found = self.hands.pg_control(self.node, deadline).system
        except SreError:
            return
        if self.system not in ("", found):
            raise Refused(
                f"{self.node.service.data_dir} on {self.node.name} holds another database (system "
                f"{found}, not {self.system}): mend its data_dir"
            )

    def undo(self, _memory: Memory, deadline: Deadline) -> None:
        """Work for it again, once somebody starts it: it was down or frozen before."""
        if self.was_open:
            self.switches.open(self.node.name, deadline)

    def keep_down(self, memory: Memory, deadline: Deadline) -> Note:
        """Masked; and whoever starts it by hand all the same starts a standby."""
        node, service = self.node, self.node.service
        if memory.get("fence", {}).get("by") == "program":
            return {"kept": False}  # it cannot be reached
        found = together(
            {
                "mask": lambda: node.control.mask(service, deadline),
                "signal": lambda: node.control.write(service, self._signal, b"", deadline),
            }
        )
        for answer in found.values():
            if isinstance(answer, SreError):
                raise answer
        return {"kept": True}

    @property
    def _signal(self) -> str:
        return f"{self.node.service.data_dir.rstrip('/')}/standby.signal"

    def let_up(self, memory: Memory, deadline: Deadline) -> None:
        """It may be started again, as what it was."""
        if memory.get("fence", {}).get("by") == "program":
            return
        self.node.control.remove(self.node.service, self._signal, deadline)
        self.node.control.unmask(self.node.service, deadline)


class _Failover:
    """The acts of one failover between fence and promotion."""

    def __init__(self, hands: Hands, decision: Decision) -> None:
        self.hands, self.decision = hands, decision
        self.new = decision.new
        self.standbys: list[str] = [decision.new, *decision.facts["siblings"]]

    def freeze(self, _memory: Memory, deadline: Deadline) -> Note:
        """Each standby alone: one that went away meanwhile is no longer counted."""
        hands, facts = self.hands, self.decision.facts

        def freeze(name: str) -> list[int]:
            settings: dict[str, str | None] = {"wal_retrieve_retry_interval": "100ms"}
            if name == self.new:
                settings["synchronous_standby_names"] = facts["names"]
            hands.change(name, settings, deadline.within(5), load=False)
            return list(hands.freeze(name, deadline.within(10)))

        found = together({name: partial(freeze, name) for name in self.standbys})
        mine = found[self.new]
        if isinstance(mine, SreError):
            raise mine
        return {name: at for name, at in found.items() if not isinstance(at, SreError)}

    def thaw(self, _memory: Memory, deadline: Deadline) -> None:
        facts = self.decision.facts

        def thaw(name: str) -> None:
            before = {"wal_retrieve_retry_interval": facts["retry"].get(name)}
            if name == self.new:
                before["synchronous_standby_names"] = facts["names_before"].get(name)
            self.hands.change(name, before, deadline.within(5), load=False)
            self.hands.thaw(name, deadline.within(5))

        found = together({name: partial(thaw, name) for name in self.standbys})
        for answer in found.values():
            if isinstance(answer, SreError) and not isinstance(answer, Silent):
                raise answer

    def choose(self, memory: Memory, deadline: Deadline) -> Note:
        """Again, now that positions stand still; the new one fetches what another has more."""
        at = {name: tuple(each) for name, each in memory["freeze"].items()}
        self._enough(set(at))
        best = max(at, key=lambda name: (at[name], name == self.new))
        mine = self.hands.position(self.new, deadline)
        if at[best] > mine and not self.decision.facts["reason"]:
            self._fetch(best, at[best], deadline)
        elif at[best] > mine:
            return {"from": best, "given_up": at[best][1] - mine[1], "positions": _shown(at)}
        return {"from": best, "positions": _shown(at)}

    def _enough(self, seen: set[str]) -> None:
        quorum, reason = self.decision.facts["quorum"], self.decision.facts["reason"]
        have = {name.lower() for name in seen} & set(quorum["members"])
        if len(have) < quorum["needs"] and not reason:
            raise Refused(
                f"only {', '.join(sorted(have)) or 'none'} of {', '.join(quorum['members'])} can "
                f"be seen, {quorum['needs']} are needed: acknowledged writes may be missing; bring "
                "them back, or --accept-data-loss REASON"
            )

    def _fetch(self, best: str, to: tuple[Any, ...], deadline: Deadline) -> None:
        """The new one follows the more advanced one until it has as much."""
        hands = self.hands
        timeline, position = int(to[0]), int(to[1])
        hands.follow(self.new, best, deadline)

        def has() -> bool:
            mine = hands.position(self.new, deadline)
            return mine >= (timeline, position)

        hands.until(f"{self.new} has what {best} has ({lsn_text(position)})", has, deadline,
                    on=(self.new, best))  # fmt: skip
        hands.freeze(self.new, deadline)

    def promote(self, _memory: Memory, deadline: Deadline) -> Note:
        """The others go along while it becomes primary."""
        hands = self.hands
        if hands.recovering(self.new, deadline):
            hands.value(self.new, "select pg_promote(false)", deadline)
        siblings = [name for name in self.standbys if name != self.new]
        slots = self.decision.facts["slots"]
        hands.slots(self.new, [slots[each] for each in siblings if each in slots], deadline)
        told = {
            name: partial(hands.follow, name, self.new, deadline.within(3)) for name in siblings
        }
        together(told)  # one that failed is told again, by the step `follow`
        hands.until(f"{self.new} is primary",
                    lambda: not hands.recovering(self.new, deadline), deadline,
                    on=(self.new,))  # fmt: skip
        return {}


def _shown(at: Mapping[str, tuple[Any, ...]]) -> dict[str, str]:
    return {name: f"timeline {each[0]}, {lsn_text(int(each[1]))}" for name, each in at.items()}
