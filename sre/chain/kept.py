"""Can every database be brought back: a tier, keys, invariants, a runbook? (pure)"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from sre.backup.model import Declared
from sre.chain.model import Finding, World
from sre.runbook.model import Block, Runbook
from sre.runbook.shelltext import outside_quotes

__all__ = ["FLAGS", "kept", "restores"]

_RESTORE = re.compile(r"\bsre\s+backup\s+restore\b([^\n;|&]*)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
FLAGS = frozenset(
    {
        "--no-progress", "--dry-run", "--latest", "--inclusive", "--exclusive", "--no-recover",
        "--mask", "--help",
    }
)  # fmt: skip
"""Options of `sre backup restore` that take no value; a test holds them to the command."""


def kept(world: World) -> Iterator[Finding]:
    """What is missing around databases, stores and keys."""
    yield from _stores(world)
    if world.settings.databases:
        yield from _keys(world)
    for declared in world.settings.databases.values():
        yield from _database(world, declared)


def _stores(world: World) -> Iterator[Finding]:
    used = {declared.store_name for declared in world.settings.databases.values()}
    used |= {copy for tier in world.settings.tiers.values() for copy in tier.copies}
    for name in world.settings.stores:
        if name not in used:
            yield world.find(
                "store-unused", ("stores", name),
                f"nothing is kept in the store {name!r}",
                f"write 'store: {name}' in a database, name it in a tier's copies, or remove it",
            )  # fmt: skip


def _keys(world: World) -> Iterator[Finding]:
    keys = world.settings.keys
    missing = (
        ("recipients", keys.recipients, "no backup can be encrypted"),
        ("trusted", keys.trusted, "no backup can be believed"),
        ("signing", keys.signing, "no backup can be signed"),
    )
    for key, value, consequence in missing:
        if not value:
            yield world.find(
                "database-keys", ("keys", key),
                f"keys.{key} is missing: {consequence}",
                "sre backup keys new --out keys makes them and prints the lines for sre.yaml",
            )  # fmt: skip


def _database(world: World, declared: Declared) -> Iterator[Finding]:
    name, steps = declared.name, ("databases", declared.name)
    if not declared.tier_name:
        some = next(iter(world.settings.tiers), None)
        cure = f"'tier: {some}'" if some else "'tier: gold', and to the top 'tiers: {gold: {…}}'"
        yield world.find(
            "database-tier", steps,
            f"{name!r} has no tier: nobody said how much of it may be lost",
            f"add to databases.{name}: {cure}",
        )  # fmt: skip
    if not declared.invariants:
        yield world.find(
            "database-invariants", steps,
            f"{name!r} has no invariants: a restore that starts would count as good, even empty",
            f"add to databases.{name}: 'invariants: [{{name: …, sql: …, equals: 0}}]'",
        )  # fmt: skip
    if not any(restores(runbook, name) for runbook in world.library.runbooks.values()):
        file = shlex.quote(str(world.library.home / f"restore-{name}.md"))
        yield world.find(
            "database-runbook", steps,
            f"no runbook restores {name!r}",
            f"write {file} with a step that runs: sre backup restore {name} --to DIR",
        )  # fmt: skip


def restores(runbook: Runbook, database: str) -> bool:
    """Whether one of its blocks restores this database, by name or by a variable's default."""
    return any(
        _names(runbook, target, database)
        for block in runbook.blocks()
        if block.role in {"run", "manual"}
        for target in _targets(block)
    )


def _targets(block: Block) -> Iterator[str]:
    """The DB|ID of each `sre backup restore`; a dry run restores nothing."""
    for rest in _RESTORE.findall(outside_quotes(block.text.replace("\\\n", "  "))):
        try:
            words = shlex.split(rest)
        except ValueError:
            words = rest.split()
        plain = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if not word.startswith("-") and not _takes_value(before)
        ]
        if plain and "--dry-run" not in words:
            yield plain[0]


def _takes_value(word: str) -> bool:
    return word.startswith("--") and "=" not in word and word not in FLAGS


def _names(runbook: Runbook, target: str, database: str) -> bool:
    match = _VARIABLE.fullmatch(target)
    if match is None:
        return target == database
    if match[2] == database:
        return True
    variable = runbook.front.vars.get(match[1] or match[3])
    return variable is not None and database in (variable.default, *variable.choices)
