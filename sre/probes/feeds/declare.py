"""What does `feeds:` of sre.yaml say?"""

from __future__ import annotations

from sre.core.config import Node, Problems, decode_kind
from sre.probes.feeds import FEEDS
from sre.probes.feeds.model import FeedFields, Sent

__all__ = ["declare_feeds"]


def declare_feeds(node: Node | None, problems: Problems) -> tuple[Sent, ...]:
    """The feeds of a resolved list, every problem at its line. Contacts nothing."""
    made: dict[str, Sent] = {}
    for index, item in enumerate(node.elements if node else ()):
        where = f"feeds[{index}]"
        found = decode_kind(FEEDS, item, where=where, problems=problems, common=FeedFields)
        if found is None:
            continue
        name = found.common.name
        if name in made:
            at = item.get("name") or item
            problems.add(at, f"{where}.name", f"two feeds are named {name!r}; rename one")
        made[name] = Sent(name, found.kind, found.own, float(found.common.every))
    return tuple(made.values())
