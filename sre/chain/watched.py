"""Is every journey promised, probed and loaded, and every promise measured? (pure)"""

from __future__ import annotations

from collections.abc import Iterator

from sre.chain.model import Finding, World
from sre.chain.rules import Severity
from sre.journey.guard import Blocked, Guard
from sre.journey.model import Journey
from sre.journey.shop import origin_of
from sre.loadtest.model import LoadTest
from sre.loadtest.thresholds import Names, parse_threshold
from sre.probes.plan import all_checks
from sre.slo.lint import lint

__all__ = ["watched"]

_GLOBAL = "1.1.1.1"
"""Stands for whatever a name resolves to: the question is whether the name itself is listed."""


def watched(world: World) -> Iterator[Finding]:
    """What is missing around targets, journeys, objectives and load tests."""
    yield from _targets(world)
    checks = all_checks(world.settings.probes, world.settings.journeys)
    runs = {check.name: check.journey for check in checks if check.journey}
    promised = {runs.get(watch.probe) for each in world.promises for watch in each.watches}
    for journey in world.settings.journeys.values():
        if journey.name in runs.values():
            yield from _probed(world, journey, promised=journey.name in promised)
        else:
            yield _unprobed(world, journey)
    yield from _objectives(world)
    for name, test in world.settings.loadtests.items():
        yield from _thresholds(world, name, test)


def _targets(world: World) -> Iterator[Finding]:
    _, host, port = origin_of(world.settings.shop.base_url)
    guard = Guard(
        world.settings.targets.allow,
        world.settings.shop.base_url,
        resolve=lambda _host, _port: [_GLOBAL],
    )
    try:
        guard.admit(host, port, timeout=1.0)
    except Blocked:
        entry = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        yield world.find(
            "targets-base-url", ("targets", "allow"),
            f"shop.base_url is {world.settings.shop.base_url}, and no entry admits it: every "
            "request would be blocked",
            f"add {entry!r} to targets.allow",
        )  # fmt: skip


def _probed(world: World, journey: Journey, *, promised: bool) -> Iterator[Finding]:
    name, orders = journey.name, journey.side_effects == "order"
    severity: Severity = "error" if orders else "warning"
    why = " and places orders" if orders else ""
    if not promised:
        yield world.find(
            "journey-objective", ("journeys", name),
            f"{name!r} is probed{why}, and no objective is about it: nobody is told when it fails",
            f"add to objectives: {{name: {_word(name)}-available, journey: {name}, target: 99%, "
            "owner: TEAM, severity: ticket, runbook: ID}",
            severity,
        )  # fmt: skip
    if name not in _loaded(world):
        yield world.find(
            "journey-loadtest", ("journeys", name),
            f"{name!r} is probed{why}, and no load test drives it: nobody knows what it bears",
            _into_mix(world, name),
            severity,
        )  # fmt: skip


def _unprobed(world: World, journey: Journey) -> Finding:
    name = journey.name
    if name in _loaded(world):
        message = f"load tests drive {name!r}, and no probe does: nobody sees it fail in between"
        remedy = f"add to journeys.{name}: 'every: 60s'"
    else:
        message = f"nothing runs {name!r}, neither a probe nor a load test"
        remedy = f"add to journeys.{name}: 'every: 60s', or remove it"
    return world.find("journey-probe", ("journeys", name), message, remedy)


def _loaded(world: World) -> set[str]:
    return {name for test in world.settings.loadtests.values() for name in _mix(world, test)}


def _mix(world: World, test: LoadTest) -> tuple[str, ...]:
    return tuple(test.mix) or test.journeys or tuple(world.settings.journeys)


def _into_mix(world: World, journey: str) -> str:
    open_tests = [name for name, test in world.settings.loadtests.items() if test.mix]
    if open_tests:
        return f"add to loadtests.{open_tests[0]}.mix: '{journey}: 1/s'"
    return (
        f"add to loadtests: 'release: {{mix: {{{journey}: 1/s}}, stages: [{{hold: 1m}}], "
        f'thresholds: ["{journey}.failed < 1%"]}}\''
    )


def _word(name: str) -> str:
    return name.replace("_", "-")


def _objectives(world: World) -> Iterator[Finding]:
    index = {each.name: place for place, each in enumerate(world.settings.objectives)}
    for found in lint(world.promises):
        steps = ("objectives", index[found.objective])
        message = f"{found.objective}: {found.message}"
        yield world.find(f"objective-{found.rule}", steps, message, found.remedy, found.severity)


def _thresholds(world: World, name: str, test: LoadTest) -> Iterator[Finding]:
    mix = _mix(world, test)
    journeys = {each: world.settings.journeys[each] for each in mix}
    names = Names({each: [(s.name, s.group) for s in j.all_steps] for each, j in journeys.items()})
    judged = {names.resolve(parse_threshold(text)).journey for text in test.thresholds}
    for journey in mix:
        if journey not in judged:
            yield world.find(
                "loadtest-threshold", ("loadtests", name),
                f"no threshold judges {journey!r}: the test passes whatever becomes of it",
                f"add to loadtests.{name}.thresholds: \"{journey}.failed < 1%\"",
            )  # fmt: skip
