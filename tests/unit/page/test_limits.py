"""Does the page say what the shop has given up, whatever the fact holds?"""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from sre.core.facts import Fact, Facts
from sre.page.build import Moment, build
from sre.page.history import History
from sre.page.limits import limits_of
from sre.page.live import LiveStatus
from sre.page.render_html import render_html
from sre.page.render_json import render_json
from tests.unit.page.made import NOON, check, declared

PAUSED = {"name": "read-only", "shows": "Checkout is <paused>", "since": NOON - 600}


def fact(*levels: object) -> Fact:
    return Fact("degrade/active", {"levels": list(levels)}, NOON)


def test_a_banner_for_each_level_and_none_without() -> None:
    bare = {"name": "no-recommendations", "shows": ""}
    page = build(declared(check()), Moment(NOON, History(), facts=(fact(PAUSED, bare),)))
    lines = [node.text() for node in HTMLParser(render_html(page)).css("[data-key=limits] li")]
    assert lines[0].startswith("Checkout is <paused> since ")
    assert lines[1] == "Degraded: no-recommendations"
    data = json.loads(render_json(page))["degraded"]
    assert data[0]["level"] == "read-only"
    without = build(declared(check()), Moment(NOON, History(), facts=(fact(),)))
    assert 'data-key="limits"' not in render_html(without)


KEYS = st.sampled_from(["name", "shows", "since"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)  # fmt: skip


@given(anything)
def test_whatever_the_fact_holds_the_page_is_made(value: object) -> None:
    limits = tuple(limits_of([Fact("degrade/active", {"levels": value}, NOON)]))
    page = build(declared(check()), Moment(NOON, History(), facts=(fact(value),)))
    assert render_html(page)
    assert all(len(each.says) <= 210 for each in limits)


def test_the_page_that_is_served_reads_the_fact(tmp_path: Path) -> None:
    with LiveStatus(tmp_path) as live:
        Facts(tmp_path).publish("degrade/active", {"levels": [PAUSED]})
        live.adopt(declared(check()))
        page = live.page()
        assert page is not None
        assert [each.says for each in page.limits] == ["Checkout is <paused>"]
