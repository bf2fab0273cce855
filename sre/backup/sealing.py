"""What is the program that seals told?"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from sre.backup.engine import Inside
from sre.backup.tap import Tapping

__all__ = ["Sealing"]


@dataclass(frozen=True)
class Sealing:
    """One argument, JSON; it holds no secret.

    Attributes:
        recipient: the age public key that all volumes are encrypted to.
        volume: bytes of what the tap lets through in one object.
        level: zstd's.
        mark: the engine's log begins with the member whose name begins so; "" for none.
        inside: what gives the tar; the one without a module: standard input.
    """

    recipient: str
    volume: int
    level: int
    mark: str
    tapping: Tapping = field(default_factory=Tapping)
    inside: Inside = field(default_factory=Inside)

    def encode(self) -> str:
        """The argument."""
        return json.dumps(asdict(self))

    @staticmethod
    def parse(text: str) -> Sealing:
        """What `encode` made."""
        found = json.loads(text)
        told = {"tapping": Tapping(**found["tapping"]), "inside": Inside(**found["inside"])}
        return Sealing(**{**found, **told})
