"""How are places looked at, changed, and looked at again?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sre.core.errors import CheckFailed, SreError
from sre.failover.degrade.layers import Step
from sre.failover.degrade.model import Held, Place, Tools

__all__ = ["clip", "hold", "look_at", "readings", "shown"]


def look_at(places: Iterable[Place], tools: Tools) -> dict[str, Held]:
    """What stands where one can look. Raises what reading raises, of the first that does."""
    return {each.name: each.read(tools) for each in places if each.readable}


def readings(places: Iterable[Place], tools: Tools) -> tuple[dict[str, Held], dict[str, SreError]]:
    """The same, with what went wrong beside it."""
    found: dict[str, Held] = {}
    wrong: dict[str, SreError] = {}
    for each in places:
        try:
            if each.readable:
                found[each.name] = each.read(tools)
        except SreError as error:
            wrong[each.name] = error
    return found, wrong


def hold(steps: Sequence[Step], tools: Tools) -> None:
    """Every place that one can look at has its target, also after a reload that came between.

    Raises:
        CheckFailed: one does not keep it.
    """
    for last in (False, True):
        odd = [s for s in steps if s.how in ("change", "as wanted") and _differs(s, tools)]
        if not odd:
            return
        if last:
            names = ", ".join(each.place.name for each in odd)
            raise CheckFailed(f"{names} was changed and is not what it was changed to")
        for each in odd:
            each.place.write(each.target, tools)


def _differs(step: Step, tools: Tools) -> bool:
    return step.place.readable and not step.place.read(tools).same(step.target)


def shown(value: Held | None) -> str:
    """A value as a person reads it, cut."""
    if value is None:
        return "not known"
    return "nothing" if value.text is None else clip(value.text)


def clip(text: str) -> str:
    """In quotes, on one line, at most 60 characters of it."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}… ({len(text)} characters)"
