"""What does `degrade:` of a declaration come to?"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from sre.core.config import Node, Problems, decode, keys_of
from sre.failover.degrade.doings import DOINGS
from sre.failover.degrade.model import Level, LevelFields, Spot
from sre.failover.model import Switch

__all__ = ["declare_levels"]


def declare_levels(
    root: Node, switches: Mapping[str, Switch], problems: Problems
) -> dict[str, Level]:
    """The levels by name, every problem at its line. Contacts nothing."""
    node, found = root.get("degrade"), {}
    if node is None or (node.kind == "scalar" and not node.text):
        return {}
    if node.kind != "mapping":
        problems.add(node, "degrade", "expected a mapping (NAME: {does: […]})")
        return {}
    traffic = root.get("traffic")
    known = list(traffic.entries) if traffic is not None and traffic.kind == "mapping" else []
    for name, entry in node.entries.items():
        level = _level(name, entry.value, _Reader(switches, known, problems))
        if level is not None:
            found[name] = level
    return found


class _Reader:
    """Reads doings; knows which switches there are."""

    def __init__(
        self, switches: Mapping[str, Switch], known: list[str], problems: Problems
    ) -> None:
        self.switches, self.known, self.problems = switches, known, problems

    def spots(self, item: Node, where: str) -> tuple[Spot, ...] | None:
        """The places of one doing; None when it is wrong."""
        if item.kind != "mapping":
            self.problems.add(item, where, "expected a mapping such as {map: FILE, set: {…}}")
            return None
        key = next((key for key in DOINGS if item.get(key) is not None), None)
        if key is None:
            words = ", ".join(sorted(DOINGS))
            self.problems.add(item, where, f"says nothing to do; one of {words} is needed")
            return None
        cls: type[Any] = DOINGS[key]
        doing = decode(cls, item, where=where, problems=self.problems)
        if doing is None:
            return None
        sockets: tuple[str, ...] = ()
        if "through" in keys_of(cls):
            said = self._sockets(doing, item, where)
            if said is None:
                return None
            sockets = said
        spots: tuple[Spot, ...] = doing.spots(sockets)
        return spots

    def _sockets(self, doing: Any, item: Node, where: str) -> tuple[str, ...] | None:
        """The runtime APIs that a map is told through."""
        names = (doing.through,) if isinstance(doing.through, str) else doing.through
        if doing.socket:
            if names:
                self.problems.add(item, where, "say one of through: and socket:")
                return None
            return (doing.socket,)
        for name in names:
            if not self._is_haproxy(name, item, where):
                return None
        chosen = names or [n for n, each in self.switches.items() if each.kind == "haproxy"]
        if not chosen and len(self.switches) == len(self.known):
            message = (
                "which HAProxy has this map? declare it under traffic: (kind: haproxy), or add "
                "socket: /run/haproxy/admin.sock"
            )
            self.problems.add(item, where, message)
            return None
        sockets = [_socket(self.switches[name]) for name in chosen if name in self.switches]
        return tuple(dict.fromkeys(each for each in sockets if each))

    def _is_haproxy(self, name: str, item: Node, where: str) -> bool:
        at = item.get("through") or item
        if name not in self.known:
            close = difflib.get_close_matches(name, self.known, n=1)
            listed = ", ".join(sorted(self.known)) or "none"
            hint = f"did you mean {close[0]!r}?" if close else f"known: {listed}"
            self.problems.add(at, f"{where}.through", f"there is no traffic {name!r}; {hint}")
            return False
        if name in self.switches and self.switches[name].kind != "haproxy":
            self.problems.add(at, f"{where}.through", f"traffic {name!r} is no haproxy")
            return False
        return True


def _socket(switch: Switch) -> str:
    return str(getattr(switch.traffic, "socket", ""))


def _level(name: str, item: Node, reader: _Reader) -> Level | None:
    where, problems = f"degrade.{name}", reader.problems
    before = len(problems)
    if item.kind != "mapping":
        problems.add(item, where, "expected a mapping: {does: […], shows: …}")
        return None
    fields = decode(
        LevelFields, item.without("does"), where=where, problems=problems, also=("does",)
    )
    spots = _does(item, where, reader)
    if fields is None or spots is None or len(problems) > before:
        return None
    for spot in spots:
        if fields.undo == "automatic" and not getattr(spot.place, "can_go_back", True):
            message = f"{spot.place.name} has no undo: add one, or say undo: manual of the level"
            problems.add(item, where, message)
            return None
    try:
        return Level(name, spots, fields)
    except ValueError as error:
        problems.add(item, where, str(error))
        return None


def _does(item: Node, where: str, reader: _Reader) -> tuple[Spot, ...] | None:
    does = item.get("does")
    if does is None or does.kind != "sequence" or not does.elements:
        message = "a level needs a list of what it does: [{map: FILE, set: {…}}]"
        reader.problems.add(does or item, f"{where}.does", message)
        return None
    found: dict[str, Spot] = {}
    for index, each in enumerate(does.elements):
        for spot in reader.spots(each, f"{where}.does[{index}]") or ():
            if spot.place.name in found:
                message = f"{spot.place.name} is changed twice in this level"
                reader.problems.add(each, f"{where}.does[{index}]", message)
            found[spot.place.name] = spot
    return tuple(found.values())
