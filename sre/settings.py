"""What does sre.yaml declare, as a whole, once it has been read and checked?

Every problem is found in one pass and named with file, line and column. Nothing is contacted and
no secret is read.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from sre.backup.declare import SECTIONS as BACKUP_SECTIONS
from sre.backup.declare import Shape as BackupShape
from sre.backup.declare import declare
from sre.backup.model import Declared as Database
from sre.backup.model import Keys, Tier
from sre.backup.objects import Store
from sre.core.config import (
    Node,
    Problems,
    decode,
    json_schema,
    read_tree,
    resolve,
)
from sre.core.errors import ConfigError, Problem
from sre.failover.declare import SECTIONS as SWITCH_SECTIONS
from sre.failover.declare import Shape as SwitchShape
from sre.failover.declare import declare as declare_switching
from sre.failover.model import Switching
from sre.journey.compile import compile_journeys
from sre.journey.guard import parse_entry
from sre.journey.model import Journey
from sre.journey.shop import Links, Shop, Targets
from sre.journey.spec import DefaultsSpec, JourneySpec
from sre.loadtest.declare import declare as declare_loadtests
from sre.loadtest.declare import read_by_ledger
from sre.loadtest.model import LoadTest
from sre.probes.blackbox.modules import Module
from sre.probes.declare import SECTIONS as WATCH_SECTIONS
from sre.probes.declare import Shape as WatchShape
from sre.probes.declare import Watching
from sre.probes.declare import declare as declare_watching
from sre.probes.model import Check
from sre.slo.model import Objective

__all__ = ["Settings", "load_settings", "schema"]

_TEMPLATES = ("journeys", "fragments", "defaults", "shop.synthetic", "probes", "modules")
_SECTIONS = (
    "version", "include", "shop", "targets", "links", "defaults", "fragments", "journeys",
    *WATCH_SECTIONS, "objectives", "loadtests", *BACKUP_SECTIONS, *SWITCH_SECTIONS,
)  # fmt: skip
_LATER = frozenset({"drills"})


@dataclass(frozen=True)
class Settings:
    """The declaration: frozen, checked, and free of revealed secrets."""

    path: Path
    shop: Shop
    targets: Targets = field(default_factory=Targets)
    links: Links = field(default_factory=Links)
    journeys: dict[str, Journey] = field(default_factory=dict)
    probes: tuple[Check, ...] = ()
    watching: Watching = field(default_factory=Watching)
    objectives: tuple[Objective, ...] = ()
    loadtests: dict[str, LoadTest] = field(default_factory=dict)
    stores: Mapping[str, Store] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)
    databases: Mapping[str, Database] = field(default_factory=dict)
    switching: Switching = field(default_factory=Switching)
    warnings: tuple[Problem, ...] = ()

    @property
    def modules(self) -> Mapping[str, Module]:
        """Those of /probe."""
        return self.watching.modules


def load_settings(path: Path | str) -> Settings:
    """Read and check a declaration.

    Raises:
        ConfigError: everything that is wrong with it, each `file:line:col path: what; cure`.
        UsageError: the file cannot be read.
    """
    path, problems = Path(path), Problems()
    root = resolve(read_tree(path, beside=problems.found), keep=_TEMPLATES)
    _sections(root, problems)
    shop = _one(Shop, root.get("shop"), "shop", problems)
    targets = _targets(root.get("targets"), problems)
    links = _one(Links, root.get("links"), "links", problems) or Links()
    known = shop or Shop("unknown", "http://shop.invalid", "staging")  # to find the other problems
    journeys = compile_journeys(root, known, path.parent, problems)
    backups = declare(root, problems)
    watching = declare_watching(root, journeys, backups.databases, problems)
    objectives = _objectives(root.get("objectives"), journeys, watching.probes, problems)
    loadtests = _loadtests(root.get("loadtests"), journeys, backups.databases, objectives, problems)
    switching = declare_switching(root, problems)
    problems.raise_if_any()
    if shop is None:
        raise ConfigError(problems.found)
    return Settings(
        path=path,
        shop=shop,
        targets=targets,
        links=links,
        journeys=journeys,
        probes=watching.probes,
        watching=watching,
        objectives=objectives,
        loadtests=loadtests,
        stores=backups.stores,
        tiers=backups.tiers,
        keys=backups.keys,
        databases=backups.databases,
        switching=switching,
        warnings=tuple(w for w in problems.warnings if not read_by_ledger(w, loadtests)),
    )


def _sections(root: Node, problems: Problems) -> None:
    if root.kind != "mapping":
        problems.add(root, "", "expected a mapping of sections such as 'shop:' and 'journeys:'")
        problems.raise_if_any()
    version = root.get("version")
    if version is None:
        problems.add(root, "version", "required key 'version' is missing; write 'version: 1'")
    elif version.scalar != 1 or isinstance(version.scalar, bool):
        problems.add(version, "version", f"expected 1, not {version.text!r}")
    _known_sections(root, problems)
    for key in ("journeys", "fragments", "loadtests"):
        _must_be(root.get(key), "mapping", key, problems)
    _must_be(root.get("objectives"), "sequence", "objectives", problems)
    if root.get("shop") is None:
        problems.add(root, "shop", "the section is missing; add shop: {name: …, base_url: …}")


def _known_sections(root: Node, problems: Problems) -> None:
    for key, entry in root.entries.items():
        if key in _LATER:
            problems.add(entry.key, key, "this section is not supported by this version of sre yet")
        elif key not in _SECTIONS:
            close = difflib.get_close_matches(key, _SECTIONS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_SECTIONS)}"
            problems.add(entry.key, key, f"unknown key {key!r}; {hint}")


def _must_be(node: Node | None, kind: str, path: str, problems: Problems) -> None:
    if node is not None and node.kind != kind and not (node.kind == "scalar" and not node.text):
        what = "a mapping (NAME: …)" if kind == "mapping" else "a list (- …)"
        problems.add(node, path, f"expected {what}")


def _one(cls: type[Any], node: Node | None, where: str, problems: Problems) -> Any:
    return None if node is None else decode(cls, node, where=where, problems=problems)


def _targets(node: Node | None, problems: Problems) -> Targets:
    allow = node.get("allow") if node is not None else None
    for index, entry in enumerate(allow.elements if allow else ()):
        try:
            parse_entry(str(entry.scalar))
        except ValueError as error:
            problems.add(entry, f"targets.allow[{index}]", str(error))
    found: Targets | None = _one(Targets, node, "targets", problems)
    return found or Targets()


def _unknown(what: str, name: str, known: Any) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
    return f"there is no {what} {name!r}; {hint}"


def _objectives(
    node: Node | None,
    journeys: dict[str, Journey],
    probes: tuple[Check, ...],
    problems: Problems,
) -> tuple[Objective, ...]:
    made: dict[str, Objective] = {}
    steps = {f"{j.name}/{s.name}": j for j in journeys.values() for s in j.steps}
    subjects: tuple[tuple[Literal["journey", "step", "probe"], Any], ...] = (
        ("journey", journeys),
        ("step", steps),
        ("probe", {check.name for check in probes}),
    )
    for index, item in enumerate(node.elements if node else ()):
        where = f"objectives[{index}]"
        objective = decode(Objective, item, where=where, problems=problems)
        if objective is None:
            continue
        for kind, known in subjects:
            name = getattr(objective, kind)
            if name is not None and name not in known:
                at = item.get(kind) or item
                problems.add(at, f"{where}.{kind}", _unknown(kind, name, known))
        if objective.name in made:
            at = item.get("name") or item
            problems.add(at, f"{where}.name", f"two objectives are named {objective.name!r}")
        made[objective.name] = objective
    return tuple(made.values())


def _loadtests(
    node: Node | None,
    journeys: dict[str, Journey],
    databases: Mapping[str, Database],
    objectives: tuple[Objective, ...],
    problems: Problems,
) -> dict[str, LoadTest]:
    kinds = {name: each.kind for name, each in databases.items()}
    promised = {(each.journey or each.step or "").partition("/")[0] for each in objectives}
    return declare_loadtests(node, journeys, kinds, promised, problems)


@dataclass(frozen=True, kw_only=True)
class _Document(BackupShape, WatchShape, SwitchShape):
    """The shape of sre.yaml, for the JSON Schema alone."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    version: Literal[1]
    shop: Shop
    include: list[str] = field(default_factory=list)
    targets: Targets | None = None
    links: Links | None = None
    defaults: DefaultsSpec | None = None
    fragments: dict[str, list[Any]] = field(default_factory=dict)
    journeys: dict[str, JourneySpec] = field(default_factory=dict)
    objectives: list[Objective] = field(default_factory=list)
    loadtests: dict[str, LoadTest] = field(default_factory=dict)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of sre.yaml, for editors."""
    return json_schema(_Document)
