"""How does a node come back as a replica of the primary, and what of its own is kept? (effects)

As a replica it copies everything of its primary: what only it had is gone then. So its last
snapshot is put aside first: a fresh one where it still runs, the files that it left where not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.failover.clusters.common.together import Silent
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.red.hands import Hands
from sre.failover.engine import Decision, Memory, Step

__all__ = ["rejoin_steps"]

Note = Mapping[str, Any]
_COPY = (
    'set -e; cd "$1"; [ ! -e "$2" ] || exit 0; rm -rf "$2.part"; mkdir "$2.part"; '
    'for each in "$3" appendonlydir appendonly.aof; do '
    '[ ! -e "$each" ] || cp -a "$each" "$2.part/"; done; mv "$2.part" "$2"; ls -A "$2"'
)


def rejoin_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do = _Rejoin(hands, switches, decision)
    node, primary = decision.new, decision.old
    steps = []
    if decision.facts["keep"]:
        if switches.some:
            steps.append(Step("close", f"no work for {node}", do.close, phase="traffic",
                              seconds=15))  # fmt: skip
        steps.append(Step("keep", f"put aside what {node} has ({decision.facts['keep']})", do.keep,
                          seconds=1800))  # fmt: skip
    steps += [
        Step("follow", f"make {node} a replica of {primary}", do.follow, no_return=True,
             seconds=60),
        Step("sync", f"see that {node} has what {primary} has", do.sync, seconds=3600),
    ]  # fmt: skip
    return tuple(steps)


class _Rejoin:
    """The acts of one return."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.name, self.primary = decision.new, decision.old
        self.node = hands.ground.node(decision.new)

    def close(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.close(self.name, deadline, waiting=False)
        self.switches.settle(deadline)
        return {}

    def keep(self, _memory: Memory, deadline: Deadline) -> Note:
        """A snapshot of now where it runs as a primary; else what it left."""
        facts, service = self.decision.facts, self.node.service
        if self._runs_apart(deadline):
            self._snapshot(deadline)
        argv = ["sh", "-c", _COPY, "sh", service.data_dir, facts["keep"], facts["dump"]]
        done = self.node.control.run(service, argv, deadline)
        if not done.ok:
            why = "it took too long" if done.timed_out else done.stderr.strip()[-300:]
            raise CheckFailed(f"cannot put aside what {self.name} has: {why}")
        files = done.stdout.decode("utf-8", "replace").split()
        return {"folder": f"{service.data_dir.rstrip('/')}/{facts['keep']}", "files": files}

    def _runs_apart(self, deadline: Deadline) -> bool:
        try:
            return self.hands.stand(self.name, deadline.within(2)).primary
        except Silent:
            return False

    def _snapshot(self, deadline: Deadline) -> None:
        """BGSAVE, once it is done: writes to it wait meanwhile, for they would be lost."""
        hands = self.hands
        hands.tell(self.name, deadline, "CLIENT", "PAUSE", 10_000, "WRITE")
        before = int(hands.tell(self.name, deadline, "LASTSAVE"))
        began = hands.looker.one(self.name, deadline).more
        if not began["saving"]:
            hands.tell(self.name, deadline, "BGSAVE", "SCHEDULE")

        def saved() -> bool:
            now = hands.looker.one(self.name, deadline.within(5)).more
            if now["saving"]:
                return False
            if not now["bgsave_ok"]:
                raise CheckFailed(f"{self.name} cannot save (BGSAVE): its log says why")
            return int(hands.tell(self.name, deadline, "LASTSAVE")) >= before

        hands.until(f"{self.name} has saved", saved, deadline)

    def follow(self, _memory: Memory, deadline: Deadline) -> Note:
        """Told so where it runs; else started as a replica, never as a primary."""
        hands, node = self.hands, self.node
        node.control.unmask(node.service, deadline)
        started = False
        if node.control.life(node.service, deadline).state == "dead":
            hands.start_following(node, self.primary, deadline)
            started = True
        hands.until(f"{self.name} answers", lambda: hands.looker.answers(self.name), deadline)
        if not hands.streams(self.name, self.primary, deadline):
            hands.follow(self.name, self.primary, deadline)
            hands.release(self.name, deadline)
            hands.turn_away(self.name, deadline)
        return {"started": started}

    def sync(self, _memory: Memory, deadline: Deadline) -> Note:
        hands = self.hands
        done = partial(hands.streams, self.name, self.primary, deadline)
        hands.until(f"{self.name} follows {self.primary}", done, deadline)
        hands.remember(self.name, deadline)
        return {"offset": hands.stand(self.name, deadline).history.offset}
