"""Who says that a database is theirs for now, and does that still hold?

Pure: a claim as it stands in a store, judged by the store's time alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from sre.backup.layout import stamp
from sre.backup.manifest import canonical
from sre.backup.strict import strict_json
from sre.core.errors import IntegrityError

__all__ = ["CONFLICTS", "SCHEMA", "Claim", "lease_key", "parse_claim"]

SCHEMA = "sre.lease/1"

CONFLICTS = {
    "run": ("prune", "shred"),
    "prune": ("run", "copy", "keys", "shred"),
    "copy": ("prune", "shred"),
    "keys": ("prune", "shred"),
    "shred": ("run", "prune", "copy", "keys"),
}
"""An operation -> the others that may not be at the same database meanwhile."""


@dataclass(frozen=True)
class Claim:
    """One holder's claim.

    Attributes:
        owner: random, new for each holder; hosts and process numbers repeat, this does not.
        fence: larger than that of every holder before.
        since, until: Unix seconds on the store's clock.
        beat: how often it was renewed.
        released: the holder has ended; the object stays, so that `fence` only grows.
    """

    op: str
    db: str
    owner: str
    host: str
    pid: int
    fence: int
    since: float
    until: float
    beat: int = 0
    released: bool = False

    def encode(self) -> bytes:
        """As it stands in a store."""
        return canonical({"schema": SCHEMA, **dataclasses.asdict(self)})

    def live(self, at: float) -> bool:
        """Whether it holds at a moment of the store's clock."""
        return not self.released and at <= self.until

    def __str__(self) -> str:
        return (
            f"{self.op} of {self.db!r} by process {self.pid} on {self.host} since "
            f"{stamp(self.since)} until {stamp(self.until)} by the store's clock, unless renewed"
        )


def lease_key(db: str, op: str) -> str:
    """Where it stands."""
    return f"v1/locks/{db}/{op}.json"


def parse_claim(data: bytes, key: str) -> Claim:
    """A claim as a store has it. Raises IntegrityError, which says what to do."""
    claim: Claim | None
    try:
        found = strict_json(data)
        schema, claim = found.pop("schema"), Claim(**found)
        sound = min(claim.fence + 0, claim.since + 0, claim.until + 0) >= 0
    except (ValueError, KeyError, TypeError, AttributeError):
        schema, claim, sound = None, None, False
    if claim is None or schema != SCHEMA or not sound or lease_key(claim.db, claim.op) != key:
        raise IntegrityError(
            f"the lease {key} is damaged; once nothing runs at this database any more, remove "
            "that object"
        )
    return claim
