"""How is one journey or probe, one objective, one proof shown? A row each. (pure)"""

from __future__ import annotations

from collections.abc import Sequence

from sre.page import words
from sre.page.draw import curve, icon, latency_line, meter, strip
from sre.page.markup import escape, stamp
from sre.page.model import Budget, Component, State, Step

__all__ = ["budget_row", "component_row", "many_row"]

_WORDS = {State.WORKS: "works", State.SLOW: "slow", State.FAILING: "failing",
          State.UNKNOWN: "not known"}  # fmt: skip


def component_row(one: Component, now: float) -> str:
    """State, since, reason; latency now and in the last hour; the last day; the last steps."""
    return (
        f'<li class="row component {one.state}" data-key="{escape(one.name)}">'
        f'<div class="id"><div class="name">{icon(one.state)}<h3>{escape(one.name)}</h3>'
        f'<span class="state">{_WORDS[one.state]}</span>'
        f'<span class="kind">{escape(_kind(one))}</span>{_planned(one)}</div>'
        f'<div class="what">{_what(one, now)}</div></div>'
        f'<div class="now"><b>{words.latency(one.seconds)}</b><small>{_ran(one, now)}</small></div>'
        f'<div class="figure hour">{latency_line(one.hour, one.name)}'
        f"<small>{_hour(one)}</small></div>"
        f'<div class="figure day">{strip(one.day, one.name)}<small>{_day(one)}</small></div>'
        f"{_steps(one)}</li>"
    )


def _planned(one: Component) -> str:
    said = f"in maintenance: {one.maintenance}"
    return f'<span class="planned">{escape(said)}</span>' if one.maintenance else ""


def many_row(those: Sequence[Component]) -> str:
    """Probes that work, of which there are too many to draw: their names."""
    names = "".join(f"<li>{escape(one.name)}</li>" for one in those[:_NAMES])
    more = f"<li>and {len(those) - _NAMES:,} more</li>" if len(those) > _NAMES else ""
    return (
        '<li class="row many" data-key="many works"><details><summary>'
        f"{icon(State.WORKS)}{len(those):,} more work</summary>"
        f'<ul class="steps" role="list">{names}{more}</ul></details></li>'
    )


_NAMES = 500
"""Names that a list shows; the JSON has all of them."""


def _kind(one: Component) -> str:
    what = one.kind
    if one.journey is not None:
        what = "" if one.journey == one.name else f"journey {one.journey}"
    every = f"every {_every(one.every)}"
    return f"{what}, {every}" if what else every


def _every(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _what(one: Component, now: float) -> str:
    lines = []
    if one.why:
        lines.append(f'<p class="why">{escape(words.upper(one.why))}</p>')
    if one.detail:
        lines.append(f"<p>{escape(one.detail)}</p>")
    if one.since is not None:
        held = words.lasting(now - one.since)
        lines.append(f"<p>since {stamp(one.since, now)} ({held})</p>")
    if one.note:
        lines.append(f"<p>{escape(words.upper(one.note))}</p>")
    return "".join(lines)


def _ran(one: Component, now: float) -> str:
    if one.ran is None:
        return "no run yet"
    seconds = words.iso(one.ran)[11:19]
    same = words.iso(one.ran)[:10] == words.iso(now)[:10]
    return f"at {seconds if same else words.moment(one.ran, now)}"


def _hour(one: Component) -> str:
    seen = [value for value in one.hour if value is not None]
    if not seen:
        return "last hour"
    return f"last hour, up to {words.latency(max(seen))}"


def _day(one: Component) -> str:
    if not one.total:
        return "24 h: no runs"
    return f"24 h: {words.share(one.good / one.total, 2)} good"


def _steps(one: Component) -> str:
    if one.journey is None or not one.steps:
        return ""
    opened = " open" if one.state in (State.FAILING, State.SLOW) else ""
    items = "".join(_step(step) for step in one.steps)
    plural = "" if len(one.steps) == 1 else "s"
    return (
        f"<details{opened}><summary>{len(one.steps)} step{plural} of the last run</summary>"
        f'<ol class="steps" role="list">{items}</ol></details>'
    )


def _step(step: Step) -> str:
    word = "" if step.state is State.WORKS else f" {escape(step.reason or _WORDS[step.state])}"
    return (
        f'<li class="{step.state}">{icon(step.state)}{escape(step.name)}'
        f"<span>{words.latency(step.seconds)}{word}</span></li>"
    )


def budget_row(one: Budget) -> str:
    """The promise, what is left of its error budget, and how fast that goes."""
    state = _budget_state(one)
    left = "no events yet" if one.left is None else f"<b>{words.share(one.left)} left</b>"
    if one.left is not None and one.spent:
        left = f"<b>spent</b> ({words.times(1 - one.left)}× the budget)"
    return (
        f'<li class="row promise {state if state is not State.WORKS else ""}" '
        f'data-key="{escape(one.name)}"><div><div class="name {state}">{icon(state)}'
        f"<h3>{escape(one.name)}</h3></div>"
        f'<div class="what"><p>{escape(one.promise)}</p></div></div>'
        f"<div>{meter(one.left, one.name)}{curve(one.curve, one.name)}"
        f'<p class="left"><span>{left}</span><span>{_counted(one)}</span></p></div>'
        f'<div class="right">{_burn(one)}</div></li>'
    )


def _budget_state(one: Budget) -> State:
    if one.spent or one.fires == "page":
        return State.FAILING
    if one.fires:
        return State.SLOW
    return State.UNKNOWN if one.left is None else State.WORKS


def _counted(one: Budget) -> str:
    if not one.total:
        return ""
    plural = "" if one.total == 1 else "s"
    over = "" if one.full else f" in {words.lasting(one.covered)} so far"
    return f"{one.bad:,} of {one.total:,} run{plural} bad{over}"


def _burn(one: Budget) -> str:
    window = _every(one.burn_window)
    rate = "no runs" if one.burn is None else f"burn rate <b>{words.times(one.burn)}×</b>"
    alarm = {"page": "burns too fast: page", "ticket": "burns too fast: ticket", "": ""}[one.fires]
    said = f"<p><b>{alarm}</b></p>" if alarm else ""
    return f'{said}<p class="none">{rate} in the last {window}</p>'
