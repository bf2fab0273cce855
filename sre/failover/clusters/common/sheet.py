"""How do findings of a snapshot become blockers, checks that passed, and warnings? (pure)"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sre.failover.engine import Reason, Wish
from sre.failover.snapshot import Snapshot

__all__ = ["CommonSheet", "machine_of"]


class CommonSheet:
    """Collects them; each kind of cluster adds what it looks for."""

    def __init__(
        self, wish: Wish, seen: Snapshot, nodes: Collection[str], fences: Collection[str]
    ) -> None:
        self.wish, self.seen, self.nodes, self.fences = wish, seen, nodes, fences
        self.blockers: list[Reason] = []
        self.passed: list[Reason] = []
        self.warnings: list[Reason] = []

    def judge(self, check: str, bad: str, good: str = "", **evidence: Any) -> bool:
        """A blocker when `bad` says something; else `good` is noted as passed."""
        if bad:
            self.blockers.append(Reason(check, bad, evidence))
        elif good:
            self.passed.append(Reason(check, good, evidence))
        return not bad

    def warn(self, check: str, text: str, **evidence: Any) -> None:
        """Something to know that stops nothing."""
        self.warnings.append(Reason(check, text, evidence))

    def known(self, name: str | None) -> bool:
        """Whether a node that somebody named is declared."""
        bad = ""
        if name is not None and name not in self.nodes:
            listed = ", ".join(self.nodes)
            bad = f"there is no node {name!r} in {self.seen.cluster}; known: {listed}"
        return self.judge("unknown-node", bad)


def machine_of(seen: Snapshot, name: str) -> Mapping[str, Any]:
    """What is known of a node's machine; nothing when it was not asked."""
    nothing: Mapping[str, Any] = {"missing": [], "unreachable": "", "free": None, "life": None}
    found: Mapping[str, Any] = seen.more.get("machines", {}).get(name, nothing)
    return found
