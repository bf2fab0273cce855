"""Does every alert lead to a runbook that can be followed, and every runbook to an alert? (pure)"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator

from sre.chain.model import Finding, World
from sre.slo.rules import alert_name

__all__ = ["answered"]


def answered(world: World) -> Iterator[Finding]:
    """What is missing between objectives and runbooks."""
    for index, about in enumerate(world.settings.objectives):
        if about.runbook is not None and about.runbook not in world.library.runbooks:
            yield _missing(world, index, about.runbook)
    yield from _lint(world)
    if world.library.own:
        yield from _dangling(world)


def _missing(world: World, index: int, name: str) -> Finding:
    folder, known = world.library.folder, sorted(world.library.runbooks)
    message = f"there is no runbook {name!r} in {folder}; there are: {', '.join(known) or 'none'}"
    close = difflib.get_close_matches(name, known, n=1)
    file = shlex.quote(str(world.library.home / f"{name}.md"))
    if close:
        remedy = f"did you mean {close[0]!r}? Otherwise write {file}"
    elif name in world.library.shipped:
        remedy = f"cp {shlex.quote(str(world.library.shipped[name]))} {file}"
    else:
        remedy = f"write {file}, with 'id: {name}' in its front matter"
    remedy += f", then: sre runbook lint {file}"
    return world.find("runbook-missing", ("objectives", index, "runbook"), message, remedy)


def _lint(world: World) -> Iterator[Finding]:
    for fault in world.library.faults:
        if fault.severity != "error":
            continue
        message, _, cure = fault.message.partition("; ")
        again = f"sre runbook lint {shlex.quote(fault.file)}"
        remedy = (
            f"{cure} Then: {again}" if cure.endswith("?") else f"{cure or 'mend it'}, then: {again}"
        )
        rule = "runbook-link" if fault.rule == "link" else "runbook-lint"
        yield Finding(fault.file, fault.line, 1, "", rule, "error", message, remedy)


def _dangling(world: World) -> Iterator[Finding]:
    live = {promise.objective.name for promise in world.promises}
    for promise in world.promises:
        live |= {alert_name(promise), alert_name(promise, "NoData")}
    for runbook in world.library.runbooks.values():
        for name in runbook.alerts:
            if name not in live:
                close = difflib.get_close_matches(name, sorted(live), n=1)
                hint = f"did you mean {close[0]!r}? Otherwise " if close else ""
                yield Finding(
                    str(runbook.path), world.library.line(runbook, "alerts"), 1, "alerts",
                    "runbook-alert", "warning",
                    f"{name!r} is neither an objective nor an alert of one",
                    f"{hint}remove it from alerts, or declare the objective",
                )  # fmt: skip
