"""How does the status page look to people? One self-contained page. (pure)

Whatever it says is escaped and masked; nothing on it comes from elsewhere, and the browser is told
to load nothing else. `data-list` and `data-key` mark what the page's script compares.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence

from sre import __version__
from sre.page import words
from sre.page.draw import ICON_LINKS, icon
from sre.page.events import incident_row, plan_row, proof_row
from sre.page.markup import escape, stamp
from sre.page.model import Component, Limit, State, StatusPage
from sre.page.render_json import revision
from sre.page.rows import budget_row, component_row, many_row
from sre.page.script import SCRIPT
from sre.page.style import STYLE

__all__ = ["CONTENT_SECURITY_POLICY", "RELOAD", "render_html"]

RELOAD = 20
"""Seconds after which a browser without JavaScript loads the page again."""

_LEGEND = ((State.WORKS, "works"), (State.SLOW, "slow"), (State.FAILING, "failing"),
           (State.UNKNOWN, "not known"))  # fmt: skip


_PLANS, _INCIDENTS = 6, 6
"""Rows that are shown at once."""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)
CONTENT_SECURITY_POLICY = f"{_POLICY}; frame-ancestors 'none'"
"""The header; the page itself says the same but for the last part, which only a header can."""


def render_html(page: StatusPage) -> str:
    """The whole page, complete without its script."""
    return (
        f'<!doctype html>\n<html lang="en" data-revision="{revision(page)}">'
        f'<head><meta charset="utf-8">{_head(page)}</head><body><div class="page">'
        f"{_top(page)}<main data-list>{''.join(_sections(page))}</main>{_foot()}</div>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _head(page: StatusPage) -> str:
    return (
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">'
        f'<noscript><meta http-equiv="refresh" content="{RELOAD}"></noscript>'
        f"<title>{escape(_title(page))}</title>"
        f'<link rel="icon" href="{ICON_LINKS[page.state]}"><style>{STYLE}</style>'
    )


def _title(page: StatusPage) -> str:
    short = page.sentence if len(page.sentence) <= 60 else page.sentence.partition(" (")[0]
    return f"{short} · {page.shop}"


def _top(page: StatusPage) -> str:
    where = f" · {escape(page.environment)}" if page.environment else ""
    now = words.iso(page.now)
    return (
        f'<header class="eyebrow"><span>Status of <b>{escape(page.shop)}</b>{where}</span>'
        f'<span><span id="lost" role="status"></span> as of <time id="at" datetime="{now}">'
        f"{now[11:19]}</time> · times are UTC</span></header>"
    )


def _sections(page: StatusPage) -> Iterable[str]:
    yield _verdict(page)
    yield _limits(page)
    yield _notes(page.notes)
    yield _tiles(page)
    journeys = [c for c in page.components if c.journey is not None]
    probes = [c for c in page.components if c.journey is None]
    for title, those in (("Journeys", journeys), ("Probes", probes)):
        yield _section(title, _rows(those, page.now))
    yield _section("Objectives", (budget_row(b) for b in page.budgets))
    yield _section("Maintenance", (plan_row(plan, page.now) for plan in page.plans[:_PLANS]))
    yield _section("Incidents, last 30 days", _incidents(page))
    for title, topic in (("Backups", "backup"), ("Runbooks", "runbook"), ("Drills", "drill")):
        yield _section(title, [proof_row(p, page.now) for p in page.proofs if p.topic == topic])


def _rows(those: Sequence[Component], now: float) -> Iterable[str]:
    yield from (component_row(one, now) for one in those if not one.brief)
    brief = [one for one in those if one.brief]
    if brief:
        yield many_row(brief)


def _incidents(page: StatusPage) -> Iterable[str]:
    rows = [incident_row(one, page.now) for one in page.incidents]
    yield from rows[:_INCIDENTS]
    if len(rows) > _INCIDENTS:
        yield (
            '<li class="row many" data-key="earlier"><details><summary>'
            f"{len(rows) - _INCIDENTS} earlier</summary>"
            f'<ul class="rows">{"".join(rows[_INCIDENTS:])}</ul></details></li>'
        )


def _verdict(page: StatusPage) -> str:
    more = escape(" ".join(page.details))
    return (
        f'<section class="verdict {page.state}" data-key="verdict" data-list '
        f'aria-labelledby="sentence"><span data-key="icon">{icon(page.state)}</span>'
        f'<h1 id="sentence" data-key="sentence" data-live aria-live="polite" aria-atomic="true">'
        f'{escape(page.sentence)}</h1><p class="more" data-key="more" data-live>{more}</p>'
        "</section>"
    )


def _limits(page: StatusPage) -> str:
    lines = "".join(
        f'<li data-key="{escape(one.name)}"><b>{escape(one.says)}</b>{_since(one, page.now)}</li>'
        for one in page.limits
    )
    if not lines:
        return ""
    return f'<ul class="notes" data-key="limits" role="status" aria-live="polite">{lines}</ul>'


def _since(one: Limit, now: float) -> str:
    return "" if one.since is None else f" since {stamp(one.since, now)}"


def _notes(notes: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="notes" data-key="notes">{lines}</ul>' if notes else ""


def _tiles(page: StatusPage) -> str:
    tiles = (_working(page.components), _tightest(page), _proven(page, "backup"),
             _proven(page, "runbook"))  # fmt: skip
    cells = "".join(
        f'<div class="tile" data-key="{escape(name)}"><dt>{escape(name)}</dt>'
        f'<dd>{escape(value)}</dd><dd class="s">{escape(small)}</dd></div>'
        for name, value, small in tiles
    )
    return f'<dl class="tiles" data-key="tiles" data-list>{cells}</dl>'


def _working(components: Sequence[Component]) -> tuple[str, str, str]:
    good = sum(c.state is State.WORKS for c in components)
    runs, fine = sum(c.total for c in components), sum(c.good for c in components)
    small = f"{words.share(fine / runs, 2)} of runs good in 24 h" if runs else "no runs yet"
    return "Working", f"{good} of {len(components)}", small


def _tightest(page: StatusPage) -> tuple[str, str, str]:
    known = [b for b in page.budgets if b.left is not None]
    if not known:
        what = "no events yet" if page.budgets else "no objectives declared"
        return "Smallest error budget", "–", what
    worst = min(known, key=lambda b: b.left or 0)
    left = "spent" if worst.spent else f"{words.share(worst.left)} left"
    return "Smallest error budget", left, worst.name


def _proven(page: StatusPage, topic: str) -> tuple[str, str, str]:
    title = "Last verified backup" if topic == "backup" else "Last rehearsal"
    done = [p for p in page.proofs if p.topic == topic and p.good and p.at is not None]
    if not done:
        return title, "none yet", "of any database" if topic == "backup" else "of any runbook"
    last = max(done, key=lambda p: p.at or 0.0)
    at = last.at or 0.0
    return title, words.moment(at, page.now), f"{last.name}, {words.lasting(page.now - at)} ago"


def _section(title: str, rows: Iterable[str]) -> str:
    key = title.partition(",")[0].lower()
    body = "".join(rows)
    if not body:
        return ""
    return (
        f'<section data-key="{key}" data-list aria-labelledby="{key}"><h2 id="{key}" data-key="h">'
        f'{title}</h2><ul class="rows" data-key="rows" data-list>{body}</ul></section>'
    )


def _foot() -> str:
    legend = "".join(f'<li class="{s}">{icon(s)}{word}</li>' for s, word in _LEGEND)
    links = "".join(
        f'<a href="{path}">{said}</a>'
        for path, said in (("metrics", "metrics"), ("-/status.json", "this page as JSON"))
    )
    return (
        f'<footer><ul class="legend" aria-label="Shapes">{legend}</ul>'
        f'<nav aria-label="Data">{links}<span>sre {escape(__version__)}</span></nav></footer>'
    )
