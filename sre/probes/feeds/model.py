"""What does a feed to another monitor get, and what does it promise?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.core.units import Duration
from sre.probes.model import Check, Result

__all__ = ["Feed", "FeedFields", "Rejected", "Sent"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_EVERY = Duration(10.0)


class Rejected(CheckFailed):
    """The monitor took the batch apart and will not take it, however often it is sent."""


@dataclass(frozen=True)
class Sent:
    """A declared feed.

    Attributes:
        every: seconds between two sendings.
    """

    name: str
    kind: str
    feed: Feed
    every: float


@dataclass(frozen=True)
class FeedFields:
    """What every entry of `feeds:` may say beside the fields of its kind.

    Attributes:
        name: bounded; it becomes a label.
        every: seconds between two sendings; results of that time go together.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    every: Duration = _EVERY

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError("name must be a letter or _, then up to 62 letters, digits, _ or -")
        if self.every < 1:
            raise ValueError("every must be at least 1s")


class Feed(Protocol):
    """One way to tell another monitor. A frozen dataclass; its fields are its configuration."""

    def announce(self, checks: Sequence[Check], deadline: Deadline) -> None:
        """Say which probes there are, where the monitor wants to know beforehand.

        Raises what `send` raises.
        """
        ...

    def send(self, batch: Sequence[Result], deadline: Deadline) -> None:
        """Hand over finished runs, oldest first; all or, after an error, maybe some.

        Sending the same batch again must do no harm.

        Raises:
            Transient: not reachable, too slow, overloaded: the batch is sent again later.
            Rejected: the monitor refuses what was sent: the batch is dropped.
            SreError: anything else, such as a secret that cannot be read; sent again later.
        """
        ...
