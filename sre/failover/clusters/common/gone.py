"""Is the primary gone, by more than one witness, and could it be cut off? (pure)"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sre.failover.clusters.common.sheet import CommonSheet, machine_of
from sre.failover.snapshot import View

__all__ = ["doubts", "fenceable", "is_gone"]

Doubts = Callable[[Sequence[View], str], str]
"""From what witnesses say and how they are overruled: why it may be alive; empty: it is gone."""


def is_gone(sheet: CommonSheet, old: str, doubted: Doubts | None = None) -> None:
    """Nobody answers as primary, and witnesses agree that `old` does not live.

    `old` is empty when nobody can tell who was. `doubted` may be stricter than `doubts`.
    """
    seen, cluster = sheet.seen, sheet.seen.cluster
    if seen.primaries():
        names = ", ".join(each.name for each in seen.primaries())
        sheet.judge(
            "primary-alive",
            f"{names} answers as primary; change it by `sre failover switchover {cluster}`, or, if "
            f"it must go: sre failover fence {cluster} {seen.primaries()[0].name}",
        )
        return
    silent = [each.name for each in seen.nodes if not each.reachable]
    if not old and silent:
        text = f"nobody can tell which of {', '.join(silent)} was primary; start the others, or "
        sheet.judge("no-primary", f"{text}take the others out of nodes:")
        return
    if not old:
        sheet.judge("primary-alive", "", "every node answers, and none is primary")
        return
    views = [view for view in seen.views if view.of == old]
    out = f"; if it must go all the same: sre failover fence {cluster} {old}"
    good = ", ".join(view.by for view in views if view.sees == "dead")
    sheet.judge(
        "primary-alive",
        (doubted or doubts)(views, out),
        f"{good} see {old} dead, and nobody sees it alive",
        **{view.by: f"{view.sees}: {view.why}" for view in views},
    )


def doubts(views: Sequence[View], out: str) -> str:
    """Why the node of which all `views` speak may be alive: one who hears it, or too few
    who do not. `out` says how it is overruled."""
    alive = [view for view in views if view.sees == "alive"]
    dead = [view for view in views if view.sees == "dead"]
    if alive:
        words = "; ".join(f"{view.by} says: {view.why}" for view in alive)
        return f"this is no failover: {alive[0].of} is alive ({words}){out}"
    if len(dead) < 2:
        unsure = "; ".join(f"{view.by}: {view.why}" for view in views if view.sees != "dead")
        who = views[0].of if views else "it"
        return f"{len(dead)} of 2 witnesses see {who} dead ({unsure or 'no other witness'}){out}"
    return ""


def fenceable(sheet: CommonSheet, old: str) -> None:
    """Its control reaches it, or its fence program is declared. Not asked while it answers."""
    if not old or sheet.seen.primaries():
        return
    machine = machine_of(sheet.seen, old)
    bad = ""
    if machine["life"] in (None, "unknown") or machine["unreachable"]:
        bad = f"the control of {old} does not reach it: {machine['unreachable'] or 'not asked'}"
        if old in sheet.fences:
            sheet.judge("fence", "", f"{bad}; its fence program cuts it off")
            return
        bad += f"; declare `fence:` for {old} (power or network), or make it reachable"
    sheet.judge("fence", bad, f"{old} can be fenced through its control ({machine['life']})")
