"""What do run time and file of an HAProxy come to, side by side? (pure)"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sre.failover.switches import Server, State
from sre.failover.traffic.haproxyfile import Declared
from sre.failover.traffic.haproxyruntime import Held, Live

__all__ = ["compared", "merged"]

_LITERAL = re.compile(r"(?:ipv4@)?(\d{1,3}(?:\.\d{1,3}){3}:\d{1,5})")


def merged(
    live: Sequence[Live], old: Sequence[Held], declared: Sequence[Declared]
) -> tuple[Server, ...]:
    """One server for each name, however many backends and workers it stands in."""
    names = dict.fromkeys(each.server.name for each in live)
    return tuple(
        _one(
            [each.server for each in live if each.server.name == name],
            sum(each.place.partition("/")[2] == name for each in old),
            [each for each in declared if each.name == name],
        )
        for name in names
    )


def compared(live: Sequence[Live], declared: Sequence[Declared], path: str) -> list[str]:
    """In what a reload would change things, one line each."""
    running = {(each.backend, each.server.name): each for each in live}
    written = {(each.backend, each.name): each for each in declared}
    problems = [
        f"{backend}/{name} runs, and {path} does not have it"
        for backend, name in running
        if (backend, name) not in written
    ]
    for key, each in written.items():
        place = "/".join(key)
        if key not in running:
            problems.append(f"{place} stands in {path}, and HAProxy does not have it")
        else:
            problems += [f"{place} {told}" for told in _differences(running[key], each, path)]
    return problems


def _differences(live: Live, declared: Declared, path: str) -> list[str]:
    told = []
    if live.off != declared.disabled:
        now, then = ("closed", "opens") if live.off else ("open", "closes")
        cure = "" if declared.editable else " (server-template: write a server line for each)"
        told.append(f"is {now} at run time, and {path} {then} it{cure}")
    elif live.server.weight != declared.weight and not live.steered:
        told.append(f"has weight {live.server.weight}, and {declared.weight} in {path}")
    literal = _LITERAL.fullmatch(declared.address)
    if literal and literal[1] != live.server.address:
        told.append(f"goes to {live.server.address}, and to {literal[1]} in {path}")
    return told


def _one(now: list[Server], old: int, declared: list[Declared]) -> Server:
    counts = [each.sessions for each in now if each.sessions is not None]
    checked = [each.healthy for each in now if each.healthy is not None]
    return Server(
        name=now[0].name,
        address=now[0].address,
        state=_most([*(each.state for each in now), *(["draining"] if old else [])]),
        configured=_most([_configured(each) for each in declared]),
        healthy=all(checked) if checked else None,
        sessions=sum(counts) + old if counts else None,
        weight=now[0].weight,
    )


def _configured(declared: Declared) -> State:
    if declared.disabled:
        return "closed"
    return "draining" if declared.weight == 0 else "open"


def _most(states: Iterable[str]) -> State:
    order: tuple[State, ...] = ("open", "draining", "closed")
    return next((each for each in order if each in states), "unknown")
