"""What do `stores:`, `tiers:`, `keys:` and `databases:` of a declaration come to, together?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sre.backup.databases import DATABASES
from sre.backup.model import Backups, DatabaseFields, Declared, Keys, Tier, check_database_name
from sre.backup.objects import Store
from sre.backup.storage import STORES
from sre.core.config import Node, Problems, decode, decode_kind, items_of

__all__ = ["SECTIONS", "declare"]

SECTIONS = ("stores", "tiers", "keys", "databases")
"""The keys of sre.yaml that `declare` reads."""


def declare(root: Node, problems: Problems) -> Backups:
    """The four sections of a resolved root, every problem at its line. Contacts nothing."""
    stores: dict[str, Store] = {}
    for name, item in items_of(root, "stores", problems):
        made = decode_kind(STORES, item, where=f"stores.{name}", problems=problems, common=_Nothing)
        if made is not None:
            stores[name] = made.own
    tiers = {}
    for name, item in items_of(root, "tiers", problems):
        tier = decode(Tier, item, where=f"tiers.{name}", problems=problems)
        if tier is not None:
            tiers[name] = tier
            _known_copies(tier, item, name, root, problems)
    keys, node = None, root.get("keys")
    if node is not None:
        keys = decode(Keys, node, where="keys", problems=problems)
    databases = dict(_databases(root, stores, tiers, problems))
    return Backups(stores, tiers, keys or Keys(), databases)


@dataclass(frozen=True)
class _Nothing:
    """Stores share no fields."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}


@dataclass(frozen=True)
class Shape:
    """The shape of the four sections, for a JSON Schema alone."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    stores: dict[str, dict[str, Any]] = field(default_factory=dict)
    tiers: dict[str, Tier] = field(default_factory=dict)
    keys: Keys | None = None
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)


def _known_copies(tier: Tier, item: Node, name: str, root: Node, problems: Problems) -> None:
    copies, stores = item.get("copies"), [name for name, _ in items_of(root, "stores", Problems())]
    for index, each in enumerate(tier.copies):
        if each not in stores:
            at = copies.elements[index] if copies is not None and copies.elements else item
            problems.add(at, f"tiers.{name}.copies[{index}]", _unknown("store", each, stores))


def _databases(
    root: Node, stores: dict[str, Store], tiers: dict[str, Tier], problems: Problems
) -> Iterator[tuple[str, Declared]]:
    for name, item in items_of(root, "databases", problems):
        where = f"databases.{name}"
        try:
            check_database_name(name)
        except ValueError as error:
            problems.add(item, where, str(error))
        made = decode_kind(DATABASES, item, where=where, problems=problems, common=DatabaseFields)
        if made is None:
            continue
        common = made.common
        for what, wanted in (("store", common.store), ("tier", common.tier)):
            known = [name for name, _ in items_of(root, f"{what}s", Problems())]
            if wanted is not None and wanted not in known:
                at = item.get(what) or item
                problems.add(at, f"{where}.{what}", _unknown(what, wanted, known))
        if common.store not in stores:
            continue
        _of_the_tier(common, tiers.get(common.tier or ""), item, where, problems)
        yield (
            name,
            Declared(
                name=name,
                kind=made.kind,
                database=made.own,
                store_name=common.store,
                store=stores[common.store],
                tier_name=common.tier or "",
                tier=tiers.get(common.tier or "") or Tier(),
                invariants=common.invariants,
                volume=int(common.volume),
                orders=common.orders,
                smoke=common.smoke,
                archive=common.archive,
            ),
        )


def _of_the_tier(
    common: DatabaseFields, tier: Tier | None, item: Node, where: str, problems: Problems
) -> None:
    """What a database and its tier say together."""
    if tier is None:
        return
    if common.store in tier.copies:
        at = item.get("store") or item
        message = f"{common.store!r} is also in copies of tier {common.tier!r}: name another store"
        problems.add(at, f"{where}.store", message)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
    return f"there is no {what} {name!r}; {hint}"
