"""What may the next backup build on, and if nothing, why not? (pure)

A chain that is doubtful is not made longer: whatever speaks against the newest link, the answer is
a full backup, and the reason is kept with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sre.backup.manifest import Manifest

__all__ = ["KINDS", "MOST_LINKS", "Choice", "choose"]

KINDS = {"full": "full", "differential": "diff", "incremental": "incr"}
"""A kind, and its short form in ids."""

MOST_LINKS = 6
"""So many backups may build on a full one, one on the other: each makes a restore longer."""

_MOST_OF_FULL = 0.5


@dataclass(frozen=True)
class Choice:
    """What is to be made.

    Attributes:
        kind: full, differential or incremental.
        chain: what it builds on, the full one first; empty for a full one.
        reason: why it is a full one although another was asked for; empty else.
    """

    kind: str = "full"
    chain: tuple[Manifest, ...] = ()
    reason: str = ""

    @property
    def parent(self) -> Manifest | None:
        """What it builds on directly."""
        return self.chain[-1] if self.chain else None


def choose(
    kind: str,
    backups: Sequence[Manifest],
    timeline: int | None,
    against: Callable[[Manifest], str],
) -> Choice:
    """The chain for a backup of `kind`.

    `backups` are those of this server and major version, by the time of their end. `against` says
    what speaks against relying on one (damaged, missing, being deleted); empty when nothing does.
    """
    if kind == "full":
        return Choice()
    usable = [each for each in backups if each.kind in KINDS]
    if kind == "differential":
        usable = [each for each in usable if each.kind == "full"]
    if not usable:
        return Choice(reason="there is no full backup of this server and major version yet")
    by_id = {each.id: each for each in backups}
    chain = _chain(usable[-1], by_id)
    reason = chain if isinstance(chain, str) else _reason(kind, chain, usable, timeline, against)
    if isinstance(chain, str) or reason:
        return Choice(reason=reason)
    return Choice(kind, chain)


def _chain(last: Manifest, by_id: Mapping[str, Manifest]) -> tuple[Manifest, ...] | str:
    found = [last]
    while (parent := found[-1].parent) is not None:
        if parent not in by_id or len(found) > len(by_id):
            return f"{parent}, on which {found[-1].id} builds, is not there or does not count"
        found.append(by_id[parent])
    return tuple(reversed(found))


def _reason(
    kind: str,
    chain: tuple[Manifest, ...],
    usable: Sequence[Manifest],
    timeline: int | None,
    against: Callable[[Manifest], str],
) -> str:
    """What speaks against another link; empty when nothing does."""
    for each in chain:
        if each.sidecar is None:
            return f"{each.id} has no map of its pages (made by an older version)"
        told = each.dump.get("timeline")
        if timeline is not None and told is not None and told != timeline:
            return f"the server is on timeline {timeline}, {each.id} was made on {told} (failover)"
    if kind == "incremental" and len(chain) > MOST_LINKS:
        return f"{len(chain) - 1} backups build on {chain[0].id} already; {MOST_LINKS} are the most"
    full, stored = chain[0], sum(each.stored_bytes for each in chain[1:])
    if stored > _MOST_OF_FULL * full.stored_bytes:
        return f"what builds on {full.id} has more than half of its bytes"
    for each in chain:
        if problem := against(each):
            return f"{each.id}: {problem}"
    return ""
