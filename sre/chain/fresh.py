"""Is every backup young and proven enough? (pure)"""

from __future__ import annotations

from collections.abc import Iterator

from sre.backup.model import Declared
from sre.backup.verifying.verify import wanted_level
from sre.chain.ages import LATE, rhythm, span
from sre.chain.evidence import Known
from sre.chain.model import Finding, World

__all__ = ["fresh_backups", "wanted_level"]


def fresh_backups(world: World, declared: Declared, known: Known, now: float) -> Iterator[Finding]:
    """What is stale, failed or unknown about one database's backups."""
    steps = ("databases", declared.name)
    if known.trouble is not None:
        yield _unreachable(world, declared, known)
        if not known.answered:
            return
    for fault in known.damaged:
        yield world.find(
            "backup-damaged", steps, f"{fault.object}: {fault.problem}",
            f"sre backup run {declared.name} takes another; find out who wrote to the store",
        )  # fmt: skip
    if known.attempt is not None and known.attempt[1] != 0:
        at, code = known.attempt
        yield world.find(
            "backup-failed", steps,
            f"the last run, {span(now - at)} ago, ended with exit code {code}",
            f"sre backup run {declared.name}",
        )  # fmt: skip
    if known.newest is None:
        message = f"there is no committed backup of {declared.name!r}"
        yield world.find("backup-missing", steps, message, f"sre backup run {declared.name}")
        return
    yield from _young(world, declared, known, now)
    yield from _proven(world, declared, known, now)


def _unreachable(world: World, declared: Declared, known: Known) -> Finding:
    steps = ("databases", declared.name, "store")
    rest = "facts of this machine answer" if known.answered else "nothing else can answer"
    what, _, cure = str(known.trouble).splitlines()[0].partition("; ")
    return world.find(
        "store-unreachable", steps,
        f"the store {declared.store_name!r} said nothing ({what}): {rest}",
        f"{cure or 'mend it'}, then: sre backup list {declared.name}",
        "warning" if known.answered else "error",
    )  # fmt: skip


def _young(world: World, declared: Declared, known: Known, now: float) -> Iterator[Finding]:
    newest, tier, steps = known.newest, declared.tier, ("databases", declared.name)
    if newest is None:
        return
    lost, again = now - newest.consistent, f"sre backup run {declared.name}"
    if tier.rpo is not None and lost > tier.rpo:
        archive = ", and archiving is not acted on by this version" if tier.archive else ""
        yield world.find(
            "backup-rpo", steps,
            f"the newest backup restores to {span(lost)} ago, rpo is {span(tier.rpo)} "
            f"(tier {declared.tier_name}){archive}",
            again,
            "warning" if tier.archive else "error",
        )  # fmt: skip
    limit, age = rhythm(tier.full), now - newest.finished
    if limit is not None and age > limit * LATE:
        yield world.find(
            "backup-stale", steps,
            f"the newest backup is {span(age)} old, wanted is one each {span(limit)} "
            f"(full: {tier.full} of tier {declared.tier_name})",
            again,
        )  # fmt: skip


def _proven(world: World, declared: Declared, known: Known, now: float) -> Iterator[Finding]:
    level, every = wanted_level(declared), float(declared.tier.verify.every)
    name, steps = declared.name, ("databases", declared.name)
    again = f"sre backup verify {name} --level {level}"
    last = max((each.at for each in known.tested if each.level >= level), default=None)
    if known.failed is not None and known.failed.at >= (last or 0.0):
        failed = known.failed
        yield world.find(
            "verify-failed", steps,
            f"the last verification, {span(now - failed.at)} ago at level {failed.level}, failed: "
            f"{failed.id} does not count as a backup",
            f"sre backup run {name}, then: {again}",
        )  # fmt: skip
    elif last is None:
        message = f"no backup of {name!r} was ever verified at level {level}"
        yield world.find("verify-missing", steps, message, again)
    elif now - last > every * LATE:
        yield world.find(
            "verify-stale", steps,
            f"the last verification at level {level} is {span(now - last)} old, verify.every is "
            f"{span(every)}",
            again,
        )  # fmt: skip
