"""How are a proof, an incident and announced work shown? A row each. (pure)"""

from __future__ import annotations

from sre.page import words
from sre.page.draw import icon
from sre.page.markup import escape, stamp
from sre.page.model import Incident, Maintenance, Proof, State

__all__ = ["incident_row", "plan_row", "proof_row"]


def proof_row(one: Proof, now: float) -> str:
    """The last proof, or that there is none yet."""
    state = {True: State.WORKS, False: State.FAILING, None: State.UNKNOWN}[one.good]
    when = "" if one.at is None else f"{stamp(one.at, now)} ({words.lasting(now - one.at)} ago)"
    took = "" if one.seconds is None else f"took {words.latency(one.seconds)}"
    row = "row proof failing" if state is State.FAILING else "row proof"
    return (
        f'<li class="{row}" data-key="{escape(one.name)}"><h3>{escape(one.name)}</h3>'
        f'<div><p class="said {state}">{icon(state)}{escape(words.upper(one.words))}</p>'
        f"<p>{escape(one.id)}</p>{_beside(one, now)}</div>"
        f'<div class="right"><p>{when}</p><p>{took}</p></div></li>'
    )


def _beside(one: Proof, now: float) -> str:
    """What happened to the thing itself, beside its proof."""
    backup, lines = one.topic == "backup", ""
    if one.ran is not None:
        lines += f"<p>{'last taken' if backup else 'last followed'} {stamp(one.ran, now)}</p>"
    if one.failed is not None:
        what = "the last backup" if backup else "the last run"
        lines += (
            f'<p class="failing"><b class="state">{what} failed</b> {stamp(one.failed, now)}</p>'
        )
    return lines


def incident_row(one: Incident, now: float) -> str:
    """Who saw it, from when until when, and for how long."""
    going_on = one.ended is None
    state = State.FAILING if going_on else State.UNKNOWN
    names = ", ".join(one.names[:4])
    more = f" and {len(one.names) - 4} more" if len(one.names) > 4 else ""
    held = words.lasting((now if one.ended is None else one.ended) - one.began)
    until = "going on" if one.ended is None else f"until {stamp(one.ended, now)}"
    source = "told" if one.told else "seen by probes"
    because = f"{one.because}, {source}" if one.because else source
    return (
        f'<li class="row proof {state if going_on else ""}" '
        f'data-key="{escape(names)} {one.began:.0f}"><h3>{escape(names + more)}</h3>'
        f"<div><p>{escape(words.upper(because))}</p></div>"
        f'<div class="right"><p>{stamp(one.began, now)}, {until}</p><p>{held}</p></div></li>'
    )


def plan_row(one: Maintenance, now: float) -> str:
    """What is announced, for whom, from when until when."""
    said = "goes on" if one.covers(now) else "announced" if one.begins > now else "over"
    names = ", ".join(one.names[:8]) + (" …" if len(one.names) > 8 else "")
    return (
        f'<li class="row proof{" slow" if one.covers(now) else ""}" '
        f'data-key="{escape(one.name)} {one.begins:.0f}"><h3>{escape(one.name)}</h3>'
        f'<div><p class="said">{words.upper(said)}</p><p>{escape(names)}</p></div>'
        f'<div class="right"><p>{stamp(one.begins, now)} to {stamp(one.ends, now)}</p>'
        f"<p>{words.lasting(one.ends - one.begins)}</p></div></li>"
    )
