"""Which routes does a journey visit, and how often? (pure)

The mean of a `repeat` counts. A step that is sent under a condition, until something holds, in
`setup` or in `cleanup` is recognised in the log, but says nothing about how many customers came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sre.core.routes import normal_path
from sre.journey.model import Block, Journey, Step
from sre.loadtest.mix.pattern import Pattern, pattern_of

__all__ = ["Map", "Route", "Visit", "map_of"]


@dataclass
class Route:
    """One kind of request that a journey makes.

    Attributes:
        follow: every step that asks for it follows redirects.
        entry: some journey begins here.
    """

    method: str
    pattern: Pattern
    follow: bool = True
    entry: bool = False

    @property
    def label(self) -> str:
        """`GET /p/:id`."""
        return f"{self.method} {self.pattern.label}"


@dataclass(frozen=True)
class Visit:
    """One step of a journey at a route.

    Attributes:
        times: how often in a run, in the mean; None when nobody knows.
        repeats: it may follow itself.
        planned: neither setup nor cleanup.
    """

    step: str
    route: int
    times: float | None
    repeats: bool
    planned: bool


@dataclass
class Map:
    """All routes of some journeys; a route's place in `routes` is its number.

    Attributes:
        visits: of each journey, its steps in order; None where one cannot be recognised.
        left_out: journey, step and why it cannot be recognised.
    """

    routes: list[Route] = field(default_factory=list)
    visits: dict[str, list[Visit | None]] = field(default_factory=dict)
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    _expressions: dict[str, tuple[re.Pattern[str], tuple[int, ...]]] = field(default_factory=dict)

    def find(self, method: str, path: str) -> int | None:
        """The number of the route that a request belongs to; None when it is of no step."""
        known = self._expressions.get(method)
        match = known[0].fullmatch(normal_path(path)) if known else None
        return known[1][(match.lastindex or 1) - 1] if known and match else None

    def finish(self) -> None:
        """Make `find` ready: of two patterns that match, the more literal one comes first."""
        for method in {route.method for route in self.routes}:
            order = sorted(
                (number for number, route in enumerate(self.routes) if route.method == method),
                key=lambda n: (-self.routes[n].pattern.literal, self.routes[n].pattern.label),
            )
            text = "|".join(f"({self.routes[number].pattern.expression})" for number in order)
            self._expressions[method] = re.compile(text, re.DOTALL), tuple(order)

    def measured(self, journey: str) -> dict[int, float]:
        """Route -> visits of one run of a journey, where that is known."""
        found: dict[int, float] = {}
        for visit in self.visits[journey]:
            if visit is not None and visit.times is not None:
                found[visit.route] = found.get(visit.route, 0.0) + visit.times
        return {route: times for route, times in found.items() if times > 0}

    def pauses(self) -> dict[tuple[str, str], set[tuple[int, int]]]:
        """(journey, step) -> the pairs of routes that its pause stands between."""
        found: dict[tuple[str, str], set[tuple[int, int]]] = {}
        for journey, visits in self.visits.items():
            planned = [visit for visit in visits if visit is None or visit.planned]
            for visit, after in zip(planned, [*planned[1:], None], strict=True):
                if visit is None:
                    continue
                pairs = {(visit.route, visit.route)} if visit.repeats else set()
                if after is not None:
                    pairs.add((visit.route, after.route))
                if pairs:
                    found[journey, visit.step] = pairs
        return found

    @property
    def loose(self) -> set[int]:
        """Routes that some step asks for nobody knows how often."""
        return {
            visit.route
            for visits in self.visits.values()
            for visit in visits
            if visit is not None and visit.times is None
        }


def map_of(journeys: Mapping[str, Journey], base_url: str) -> Map:
    """The routes of these journeys."""
    found = Map()
    numbers: dict[tuple[str, str], int] = {}
    for name, journey in journeys.items():
        found.visits[name] = []
        extracted = {one.name for step in journey.all_steps for one in step.extract}
        variables = {
            var.name: var.template
            for var in journey.vars
            if var.template is not None and not var.secret and var.name not in extracted
        }
        begun = False
        planned = {id(step) for step in journey.steps}
        for step, times, repeats in _sent(journey):
            pattern, why = pattern_of(step.url, variables, base_url)
            if pattern is None:
                found.left_out.append((name, step.name, why))
                found.visits[name].append(None)
                continue
            number = numbers.setdefault((step.method, pattern.expression), len(numbers))
            if number == len(found.routes):
                found.routes.append(Route(step.method, pattern))
            route = found.routes[number]
            route.follow = route.follow and step.follow
            if times is not None:
                route.entry, begun = route.entry or not begun, True
            found.visits[name].append(Visit(step.name, number, times, repeats, id(step) in planned))
    found.finish()
    return found


def _sent(journey: Journey) -> Iterator[tuple[Step, float | None, bool]]:
    """Each step with its mean number in a run, and whether it may follow itself."""
    for block in journey.setup:
        yield from ((step, None, False) for step in block.steps)
    for block in journey.blocks:
        yield from _of_block(block, 1.0, sure=True)
    for block in journey.cleanup:
        yield from ((step, None, False) for step in block.steps)


def _of_block(
    block: Block, times: float, *, sure: bool
) -> Iterator[tuple[Step, float | None, bool]]:
    sure = sure and not block.when and not block.unless
    times *= (block.repeat.low + block.repeat.high) / 2 if block.repeat else 1.0
    for part in block.parts:
        if isinstance(part, Block):
            yield from _of_block(part, times, sure=sure)
            continue
        own = (part.repeat.low + part.repeat.high) / 2 if part.repeat else 1.0
        known = sure and not part.when and not part.unless and part.until is None
        repeats = bool(part.repeat and part.repeat.high > 1)
        yield part, times * own if known else None, repeats
