"""Where in a store does a database's log stand?

    v1/<db>/<system>-<major>/log/<timeline>/<segment>.zst.age, .json      a whole segment
                                            <segment>.partial-<bytes>…    the beginning of one
                                            <timeline>.history…           where it branched off
    v1/keys/log-<epoch>.age                                               an epoch's own key

The signed `.json` is written last and only once: a segment is there when its record is. Timelines
and bytes are eight hexadecimal digits, as PostgreSQL writes names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Item", "Kind", "LogPlace", "item_of", "key_of_epoch", "log_place", "parse_name"]

Kind = Literal["segment", "partial", "history"]

_KEY = re.compile(
    r"(?P<place>v1/[a-z0-9][a-z0-9-]*/[0-9]+-[0-9]+/)log/(?P<timeline>[0-9A-F]{8})/(?P<rest>[^/]+)"
)
_NAME = re.compile(
    r"(?P<segment>[0-9A-F]{24})(?:\.partial-(?P<bytes>[0-9a-f]{8}))?|[0-9A-F]{8}\.history"
)


@dataclass(frozen=True, order=True)
class Item:
    """One thing that the log consists of, by its name.

    Attributes:
        name: `<segment>`, `<segment>.partial-<bytes>` or `<timeline>.history`.
        bytes: of a partial one, how much of the segment it holds; else 0.
    """

    name: str
    kind: Kind
    bytes: int = 0

    @property
    def timeline(self) -> int:
        """The timeline that it belongs to."""
        return int(self.name[:8], 16)

    @property
    def segment(self) -> str:
        """The name of the whole segment; of a history its own."""
        return self.name.partition(".partial-")[0]


@dataclass(frozen=True)
class LogPlace:
    """The log of one server: `prefix` is `v1/<db>/<system>-<major>/`."""

    prefix: str

    @property
    def folder(self) -> str:
        """The prefix of everything."""
        return f"{self.prefix}log/"

    def object(self, name: str, again: str = "") -> str:
        """The key of the bytes; `again` when that one is taken by a try that never ended."""
        return f"{self.folder}{name[:8]}/{name}{'-' if again else ''}{again}.zst.age"

    def record(self, name: str) -> str:
        """The key of the signed record: the commit."""
        return f"{self.folder}{name[:8]}/{name}.json"


def log_place(db: str, system: str) -> LogPlace:
    """Of a database; `system` is the system identifier and major version (`Source.place`)."""
    return LogPlace(f"v1/{db}/{system}/")


def key_of_epoch(epoch: str) -> str:
    """The wrapped key of an epoch."""
    return f"v1/keys/log-{epoch}.age"


def parse_name(name: str) -> Item | None:
    """What a name means; None when it is none of the log's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match["segment"] is None:
        return Item(name, "history")
    if match["bytes"] is None:
        return Item(name, "segment")
    return Item(name, "partial", int(match["bytes"], 16))


def item_of(key: str) -> Item | None:
    """What is committed by the record at `key`; None when it is no record's key."""
    match = _KEY.fullmatch(key)
    if match is None or not match["rest"].endswith(".json"):
        return None
    item = parse_name(match["rest"].removesuffix(".json"))
    return item if item is not None and item.name[:8] == match["timeline"] else None
