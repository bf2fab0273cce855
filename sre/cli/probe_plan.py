"""What does the declaration mean to the probes, and to the page about them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sre.page.model import Declared
    from sre.probes.plan import Plan
    from sre.settings import Settings

__all__ = ["declared_of", "plan_of"]


def declared_of(settings: Settings, plan: Plan) -> Declared:
    """What the declaration means to the status page."""
    from sre.page.model import Declared, Maintenance  # noqa: PLC0415  only when it runs
    from sre.probes.watching import around  # noqa: PLC0415

    def plans(now: float) -> list[Maintenance]:
        found = around(plan.maintenance, plan.checks, now)
        return [Maintenance(each.name, each.begin, each.end, each.probes) for each in found]

    databases = tuple(settings.databases)
    return Declared(settings.shop, plan.checks, settings.objectives, databases, plans)


def plan_of(settings: Settings) -> Plan:
    """What the declaration means to the probes."""
    from sre.core.secrets import Secret  # noqa: PLC0415  only when it runs
    from sre.journey.guard import Guard  # noqa: PLC0415
    from sre.probes.plan import Plan, all_checks  # noqa: PLC0415

    checks = all_checks(settings.probes, settings.journeys)
    edges: dict[str, tuple[float, ...]] = {}
    step_edges: dict[str, tuple[float, ...]] = {}
    for objective in settings.objectives:
        if objective.below is None:
            continue
        edge = (float(objective.below),)
        if objective.step is not None:
            step_edges[objective.step] = step_edges.get(objective.step, ()) + edge
        for check in checks:
            if objective.subject in (check.journey, check.name) and objective.step is None:
                edges[check.name] = edges.get(check.name, ()) + edge
    guard = Guard(settings.targets.allow, settings.shop.base_url)
    dsns = {
        name: dsn
        for name, each in settings.databases.items()
        if isinstance(dsn := getattr(each.database, "dsn", None), Secret)
    }
    return Plan(
        checks, settings.shop, guard, settings.journeys, edges, step_edges, dsns,
        settings.watching.options, settings.watching.maintenance,
    )  # fmt: skip
