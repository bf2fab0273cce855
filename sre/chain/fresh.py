"""Is every backup young and proven enough? (pure)"""

from __future__ import annotations

from collections.abc import Iterator

from sre.backup.model import Declared
from sre.backup.verifying.verify import wanted_level
from sre.chain.ages import LATE, rhythm, span
from sre.chain.evidence import Known
from sre.chain.model import Finding, World

__all__ = ["fresh_backups", "wanted_level"]

_DAY = 86400.0


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
    yield from _copied(world, declared, known, now)
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
    upto = newest.consistent
    if tier.archive and known.log_upto is not None:
        upto = max(upto, known.log_upto)
    lost, again = now - upto, f"sre backup run {declared.name}"
    if tier.rpo is not None and lost > tier.rpo:
        yield _lost(world, declared, known, lost)
    limit, age = rhythm(tier.full), now - newest.finished
    if limit is not None and age > limit * LATE:
        yield world.find(
            "backup-stale", steps,
            f"the newest backup is {span(age)} old, wanted is one each {span(limit)} "
            f"(full: {tier.full} of tier {declared.tier_name})",
            again,
        )  # fmt: skip


def _lost(world: World, declared: Declared, known: Known, lost: float) -> Finding:
    """More than may be lost. A log that another machine archives may reach further."""
    name, rpo = declared.name, f"rpo is {span(declared.tier.rpo or 0.0)}"
    steps, tier = ("databases", name), f"(tier {declared.tier_name})"
    if not declared.tier.archive:
        what = f"the newest backup restores to {span(lost)} ago, {rpo} {tier}"
        return world.find("backup-rpo", steps, what, f"sre backup run {name}")
    if known.log_upto is None:
        what = (
            f"the newest backup restores to {span(lost)} ago, {rpo} {tier}, and no archiver on "
            "this machine says how far the log leads"
        )
        return world.find("backup-rpo", steps, what, f"sre backup plan {name}", "warning")
    what = f"backups and log restore to {span(lost)} ago, {rpo} {tier}"
    return world.find("backup-rpo", steps, what, f"sre backup archive {name}")


def _copied(world: World, declared: Declared, known: Known, now: float) -> Iterator[Finding]:
    """Copies that this machine makes, held to what may be lost."""
    tier = declared.tier
    limit = float(tier.rpo or rhythm(tier.full) or _DAY)
    for store in tier.copies:
        behind = None if store not in known.copies else now - known.copies[store]
        if behind is not None and behind > limit * LATE:
            yield world.find(
                "copy-late", ("databases", declared.name),
                f"the copy in {store!r} is {span(behind)} behind, {span(limit)} may be lost "
                f"(tier {declared.tier_name})",
                f"sre backup copy {declared.name} --to {store}",
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
