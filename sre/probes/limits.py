"""How long may a probe that runs a journey take, and how often may it run? (pure)"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sre.probes.model import Check

if TYPE_CHECKING:
    from sre.journey.model import Journey

__all__ = ["with_limits"]

_CALLING = 1.0
"""Seconds that a journey gets beyond its own time limits before its run counts as overdue."""


def with_limits(check: Check, journey: Journey) -> Check:
    """The check with the time limits and the budget of the journey that it runs."""
    cleanup = journey.cleanup_timeout if journey.cleanup else 0.0
    timeout = journey.timeout * (2 if journey.setup else 1) + cleanup + _CALLING
    orders = journey.side_effects != "none"
    return replace(check, timeout=timeout, budget=journey.budget if orders else None)
