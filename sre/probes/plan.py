"""Which checks are run, with which journeys, against which shop?"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sre.core.clock import Clock, Deadline
from sre.core.errors import Refused, UsageError
from sre.journey.shop import Shop
from sre.probes.kinds.journey import JourneyProbe
from sre.probes.limits import with_limits
from sre.probes.model import Check, ProbeContext
from sre.probes.watching import WatchOptions, Window

if TYPE_CHECKING:
    from sre.core.secrets import Secret
    from sre.journey.guard import Guard
    from sre.journey.model import Journey

__all__ = ["Plan", "all_checks"]


@dataclass(frozen=True)
class Plan:
    """Everything that the probes of one declaration need.

    Attributes:
        edges: histogram edges in seconds beyond the default ones, by probe name.
        step_edges: the same for steps, by `JOURNEY/STEP`.
        dsns: how to reach the databases of the declaration, by name.
        watch: how the service watches.
        maintenance: when work is planned.
    """

    checks: tuple[Check, ...]
    shop: Shop
    guard: Guard
    journeys: Mapping[str, Journey] = field(default_factory=dict)
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    step_edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    dsns: Mapping[str, Secret] = field(default_factory=dict)
    watch: WatchOptions = field(default_factory=WatchOptions)
    maintenance: tuple[Window, ...] = ()

    def context(
        self, check: Check, clock: Clock, cancelled: threading.Event, sequence: int = 0
    ) -> ProbeContext:
        """What one run of `check` may use; its time starts now."""
        return ProbeContext(
            deadline=Deadline(clock.now() + check.timeout, clock),
            guard=self.guard,
            shop=self.shop,
            clock=clock,
            journeys=self.journeys,
            dsns=self.dsns,
            cancelled=cancelled,
            sequence=sequence,
        )

    def select(self, names: Sequence[str]) -> tuple[Check, ...]:
        """The checks of these names, in this order, once each; all when no name is given.

        A journey that no schedule runs (it has no `every`) can be named all the same.

        Raises:
            UsageError: there is no probe of that name, or no probe at all.
        """
        if not self.checks and not self.journeys:
            raise UsageError("there is nothing to run; declare probes: or journeys: in sre.yaml")
        if not names:
            return self.checks
        unscheduled = {name: _own_check(journey) for name, journey in self.journeys.items()}
        by_name = unscheduled | {check.name: check for check in self.checks}
        for name in names:
            if name not in by_name:
                raise UsageError(_unknown(name, by_name))
        return tuple(by_name[name] for name in dict.fromkeys(names))

    def refuse_orders(self, checks: Iterable[Check]) -> None:
        """Raises Refused when one of these would place orders at a shop in production."""
        orders = [check.name for check in checks if check.orders]
        if self.shop.is_production and orders:
            raise Refused(
                f"{self.shop.base_url} is production and {', '.join(orders)} places orders there; "
                "nothing was sent. Pass --i-know-this-is-production, or name other probes"
            )


def all_checks(declared: Iterable[Check], journeys: Mapping[str, Journey]) -> tuple[Check, ...]:
    """The checks to run: the declared ones, then one for each journey that says `every`.

    A declared probe of a journey's own name replaces the journey's. A check that runs a journey
    takes that journey's time limits and budget. Names must have been checked before.
    """
    found = {check.name: check for check in declared}
    for journey in journeys.values():
        if journey.every is not None and journey.name not in found:
            found[journey.name] = _own_check(journey)
    return tuple(
        check if check.journey is None else with_limits(check, journeys[check.journey])
        for check in found.values()
    )


def _own_check(journey: Journey) -> Check:
    every = 60.0 if journey.every is None else journey.every
    probe = JourneyProbe(journey.name)
    check = Check(journey.name, "journey", probe, every, journey=journey.name)
    return with_limits(check, journey)


def _unknown(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"no probe named {name!r}; there are: {', '.join(names) or 'none'}{hint}"
