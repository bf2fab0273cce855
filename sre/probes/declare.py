"""What does the declaration say about watching, once it has been read and checked?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from fnmatch import filter as filter_names
from functools import partial
from typing import Any, ClassVar

from sre.core.config import Node, Problems, decode, decode_kind, resolve
from sre.core.metrics import MetricInfo
from sre.journey.model import Journey
from sre.probes.blackbox.declare import declare_modules
from sre.probes.blackbox.modules import Module
from sre.probes.bounds import contradictions
from sre.probes.facts import own_metrics
from sre.probes.feeds.declare import declare_feeds
from sre.probes.feeds.model import Sent
from sre.probes.kinds import KINDS
from sre.probes.limits import with_limits
from sre.probes.model import Check, CheckFields, check_from
from sre.probes.watching import WatchOptions, Window

__all__ = ["SECTIONS", "Shape", "Watching", "declare"]

SECTIONS = ("probes", "modules", "watch", "maintenance", "feeds")
"""The keys of sre.yaml that `declare` reads."""

_HTTP_TEMPLATES = ("url", "headers", "query", "body", "form", "json", "expect")
_TALKS = ("conversation.*.send", "conversation.*.labels")
_TEMPLATES = {
    "http": _HTTP_TEMPLATES,
    "tcp": (*_TALKS, *(talk.replace("conversation", "query_response") for talk in _TALKS)),
}
"""What stays as it is written, by kind: `${1}` there is no reference of ours."""


@dataclass(frozen=True)
class Watching:
    """Everything that the sections say, names resolved."""

    probes: tuple[Check, ...] = ()
    modules: Mapping[str, Module] = field(default_factory=dict)
    options: WatchOptions = field(default_factory=WatchOptions)
    maintenance: tuple[Window, ...] = ()
    feeds: tuple[Sent, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The shape of the sections, for a JSON Schema alone."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    probes: list[dict[str, Any]] = field(default_factory=list)
    modules: dict[str, Module] = field(default_factory=dict)
    watch: WatchOptions | None = None
    maintenance: list[Window] = field(default_factory=list)
    feeds: list[dict[str, Any]] = field(default_factory=list)


def declare(
    root: Node, journeys: Mapping[str, Journey], databases: Iterable[str], problems: Problems
) -> Watching:
    """The sections of a root, every problem at its line. Contacts nothing."""
    node = _list(root, "probes", problems)
    modules = declare_modules(root.get("modules"), problems)
    probes = _probes(node, journeys, tuple(databases), problems)
    watch = root.get("watch")
    options = None
    if watch is not None:
        options = decode(WatchOptions, watch, where="watch", problems=problems)
    windows = _windows(_list(root, "maintenance", problems), probes, journeys, problems)
    feeds = declare_feeds(_list(root, "feeds", problems), problems)
    return Watching(probes, modules, options or WatchOptions(), windows, feeds)


def _list(root: Node, section: str, problems: Problems) -> Node | None:
    node = root.get(section)
    empty = node is not None and node.kind == "scalar" and not node.text
    if node is not None and node.kind != "sequence" and not empty:
        problems.add(node, section, "expected a list (- …)")
    return node


def _probes(
    node: Node | None, journeys: Mapping[str, Journey], databases: Iterable[str], problems: Problems
) -> tuple[Check, ...]:
    checks: dict[str, Check] = {}
    named: dict[str, MetricInfo] = {}
    for index, raw in enumerate(node.elements if node else ()):
        where = f"probes[{index}]"
        kind = raw.get("kind")
        item = resolve(raw, keep=_TEMPLATES.get(kind.text if kind is not None else "", ()))
        made = decode_kind(KINDS, item, where=where, problems=problems, common=CheckFields)
        if made is None:
            continue
        check = check_from(made.common, made.kind, made.own)
        say = partial(problems.add, item.get("name") or item, f"{where}.name")
        if check.name in checks:
            say(f"two probes are named {check.name!r}; rename one")
        elif check.name in journeys and check.journey != check.name:
            say(f"a journey is named {check.name!r} and is a probe itself; rename one")
        if check.journey is not None and check.journey not in journeys:
            at = item.get("journey") or item
            problems.add(at, f"{where}.journey", _unknown("journey", check.journey, journeys))
        database = getattr(made.own, "database", None)
        if database is not None and database not in databases:
            at = item.get("database") or item
            problems.add(at, f"{where}.database", _unknown("database", database, databases))
        _named_once(made.own, named, item, where, problems)
        _sensible(made.own, item, where, problems)
        if check.retry is not None and check.journey in journeys:
            _retried(check, journeys, item.get("retry") or item, f"{where}.retry", problems)
        checks[check.name] = check
    return tuple(checks.values())


def _named_once(
    probe: object, named: dict[str, MetricInfo], at: Node, where: str, problems: Problems
) -> None:
    """A metric that the declaration names has one set of labels, whichever probes export it."""
    for metric in own_metrics(probe):
        first = named.setdefault(metric.name, metric)
        if (first.labels, first.help) != (metric.labels, metric.help):
            problems.add(
                at,
                where,
                f"{metric.name} has another help or other labels in another probe; rename one",
            )


def _sensible(probe: object, item: Node, where: str, problems: Problems) -> None:
    """Each key may be right by itself, and together they are not."""
    warn, highest = getattr(probe, "warn", None), getattr(probe, "max", None)
    if is_dataclass(warn) and type(warn) is type(highest):
        for name in contradictions(warn, highest):
            what = f"{name} fails before it warns; swap the limits of warn and max"
            problems.add(item.get("warn") or item, f"{where}.warn.{name}", what)
    host = getattr(probe, "host", None)
    if isinstance(host, str) and ("/" in host or host.count(":") == 1):
        what = f"{host!r} is no name and no address; write the port in port:, and no scheme"
        problems.add(item.get("host") or item, f"{where}.host", what)


def _retried(
    check: Check, journeys: Mapping[str, Journey], at: Node, where: str, problems: Problems
) -> None:
    """A journey brings its own time limits, and may change something at the shop."""
    real = with_limits(check, journeys[check.journey or ""])
    if real.orders:
        problems.add(at, where, f"{check.journey} places orders, so it is never tried again")
    elif check.retry is not None and check.retry.seconds(real.timeout) > check.every:
        longest = f"{real.timeout:g} s each"
        problems.add(at, where, f"runs of {check.journey} ({longest}) do not fit into every")


def _windows(
    node: Node | None, probes: Iterable[Check], journeys: Mapping[str, Journey], problems: Problems
) -> tuple[Window, ...]:
    made: dict[str, Window] = {}
    known = {"probes": {check.name for check in probes} | set(journeys), "journeys": set(journeys)}
    for index, item in enumerate(node.elements if node else ()):
        where = f"maintenance[{index}]"
        window = decode(Window, item, where=where, problems=problems)
        if window is None:
            continue
        if window.name in made:
            at = item.get("name") or item
            problems.add(at, f"{where}.name", f"two windows are named {window.name!r}; rename one")
        for key, names in known.items():
            for pattern in getattr(window, key):
                if not filter_names(names, pattern):
                    at = item.get(key) or item
                    problems.add(at, f"{where}.{key}", _unknown(key[:-1], pattern, names))
        made[window.name] = window
    return tuple(made.values())


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
    return f"there is no {what} {name!r}; {hint}"
