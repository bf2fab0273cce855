"""Is the page safe, complete and readable for those who do not see it?"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from sre.core.secrets import redactor
from sre.journey.result import Outcome, Reason, StepResult
from sre.page import words
from sre.page.build import Moment, build
from sre.page.draw import ICON_LINKS, latency_line, meter, strip
from sre.page.model import Budget, Component, Proof, State, StatusPage, Step
from sre.page.render_html import render_html
from sre.page.render_json import render_json, revision
from sre.page.style import STYLE
from tests.unit.page.made import NOON, check, declared, failed, objective, played, run

EVIL = "<script>alert('1')</script>\"&"


def page(**more) -> StatusPage:
    history = played((NOON - 120, run()), (NOON - 60, failed()), (NOON, run("home")))
    steps: dict[str, tuple[StepResult, ...]] = {"checkout": failed().reading.steps}
    things = declared(check(), check("home", journey=False), objectives=(objective(runbook="r"),))
    return replace(build(things, Moment(NOON, history, steps)), **more)


def evil() -> StatusPage:
    one = Component(
        EVIL, EVIL, 60.0, State.FAILING, journey="j", since=NOON, step=EVIL, reason=EVIL, why=EVIL,
        detail=EVIL, note=EVIL, seconds=1.0, ran=NOON, hour=(1.0,), day=(State.SLOW,),
        steps=(Step(EVIL, State.FAILING, 1.0, EVIL),),
    )  # fmt: skip
    return StatusPage(
        NOON, EVIL, EVIL, State.FAILING, EVIL, (EVIL,), (one, replace(one, name=EVIL + "2")),
        (Budget(EVIL, EVIL, 3600.0, 60.0, Fraction(1, 2)),),
        (Proof("backup", EVIL, True, EVIL, NOON, 1.0, EVIL, NOON, NOON),), (EVIL,),
    )  # fmt: skip


def test_everything_is_escaped() -> None:
    tree = HTMLParser(render_html(evil()))
    assert len(tree.css("script")) == 1
    assert EVIL in tree.css_first("h1").text()
    assert tree.css_first("h3").text() == EVIL
    for node in tree.css("*"):
        assert not any((name or "").startswith("on") for name in node.attributes)
    assert json.loads(render_json(evil()))["sentence"] == EVIL


def test_secrets_are_masked_and_the_mask_is_seen() -> None:
    redactor.add("plan<ted-secret>9")
    planted = replace(page(), sentence="has plan<ted-secret>9", notes=("plan<ted-secret>9",))
    text = render_html(planted)
    assert "ted-secret" not in text
    assert "&lt;secret&gt;" in text
    assert "ted-secret" not in render_json(planted)


def test_the_policy_names_what_the_page_holds() -> None:
    tree = HTMLParser(render_html(page()))
    policy = tree.css_first("meta[http-equiv=Content-Security-Policy]").attributes["content"]
    for tag in ("style", "script"):
        text = tree.css_first(tag).text()
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", render_html(page()))


def test_the_structure_is_told_to_those_who_do_not_see_it() -> None:
    tree = HTMLParser(render_html(page()))
    assert tree.css_first("html").attributes["lang"] == "en"
    assert [len(tree.css(tag)) for tag in ("main", "header", "footer", "nav", "h1")] == [1] * 5
    levels = [int(node.tag[1]) for node in tree.css("h1,h2,h3")]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for svg in tree.css("svg"):
        named = svg.attributes.get("role") == "img" and svg.attributes.get("aria-label")
        assert named or svg.attributes.get("aria-hidden") == "true"
    ids = [node.attributes["id"] for node in tree.css("[id]")]
    assert len(ids) == len(set(ids))
    for node in tree.css("[aria-labelledby]"):
        assert node.attributes["aria-labelledby"] in ids
    assert tree.css_first("h1").attributes["aria-live"] == "polite"


def test_state_is_a_word_and_a_shape() -> None:
    tree = HTMLParser(render_html(page()))
    first = tree.css_first(".component.failing")
    assert first.css_first(".state").text() == "failing"
    assert first.css_first(".icon.failing rect") is not None
    assert tree.css_first(".component.works .icon circle") is not None
    assert len(set(ICON_LINKS.values())) == len(State)


def test_what_the_script_compares_is_marked() -> None:
    tree = HTMLParser(render_html(page()))
    for container in tree.css("[data-list]"):
        keys = [c.attributes.get("data-key") for c in container.iter()]
        assert all(keys)
        assert len(keys) == len(set(keys))


def test_the_revision_is_the_content_not_the_time() -> None:
    assert revision(page()) == revision(replace(page(), now=NOON + 5))
    assert revision(page()) != revision(replace(page(), sentence="else"))
    assert f'data-revision="{revision(page())}"' in render_html(page())


def test_the_data() -> None:
    data = json.loads(render_json(page()))
    assert data["schema"] == "sre.status/1"
    assert (data["now"], data["state"]) == ("2026-11-21T12:00:00Z", "failing")
    first = data["components"][0]
    assert (first["name"], first["step"], first["reason"]) == ("checkout", "payment", "status")
    assert first["since"] == "2026-11-21T11:59:00Z"
    assert len(first["last_hour_seconds"]) == 60
    assert data["objectives"][0]["budget_left"] is None
    assert data["proofs"] == [
        {"topic": "runbook", "name": "r", "good": None, "result": "none yet", "at": None,
         "seconds": None, "id": "", "last_run": None, "last_failure": None},
    ]  # fmt: skip


def test_a_blocked_probe_and_an_empty_declaration_draw() -> None:
    nothing = build(declared(), Moment(NOON, played()))
    assert "no probes are declared" in render_html(nothing)
    blocked = played((NOON, run(outcome=Outcome.BLOCKED, reason=Reason.NONE)))
    assert "allow-list" in render_html(build(declared(check()), Moment(NOON, blocked)))


class TestContrast:
    """WCAG AA: 4.5 to 1 for every text on every ground that it stands on."""

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_every_tone_can_be_read(self, scheme: str) -> None:
        blocks = re.findall(r":root\{(.*?)\}", STYLE, re.DOTALL)
        tones = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})\b", blocks[scheme == "dark"]))
        grounds = ["paper", "card", *(f"{s}-wash" for s in State)]
        for ground in grounds:
            for text in ("ink", "dim"):
                assert contrast(tones[text], tones[ground]) >= 4.5, (text, ground)
        for state in State:
            for ground in ("card", f"{state}-wash"):
                assert contrast(tones[state], tones[ground]) >= 4.5, (state, ground)
            assert contrast(tones[state], tones["mark"]) >= 3


def contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(tone: str) -> float:
    digits = tone[1:] if len(tone) == 7 else "".join(c * 2 for c in tone[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class TestDrawings:
    @given(st.lists(st.none() | st.floats(0, 1e4), min_size=60, max_size=60))
    def test_a_line_stays_in_its_frame(self, minutes: list[float | None]) -> None:
        svg = latency_line(minutes, "x")
        for path in re.findall(r' d="([^"]*)"', svg):
            for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path):
                assert 0 <= float(x) <= 120
                assert 0 <= float(y) <= 30

    def test_a_line_says_itself_in_words(self) -> None:
        assert "0.10 s" not in latency_line([None] * 59 + [0.1], "home")
        assert "Latency of home in the last hour: 100 ms to 100 ms" in latency_line([0.1], "home")
        assert "no good run" in latency_line([None] * 60, "home")

    def test_the_higher_the_worse(self) -> None:
        svg = strip([None, State.WORKS, State.SLOW, State.FAILING], "home")
        heights = [int(h) for h in re.findall(r'height="(\d+)"/>', svg)]
        assert heights == sorted(heights)
        assert len(set(heights)) == 4
        assert "1 good, 1 slow, 1 with failures" in svg

    @pytest.mark.parametrize(
        ("left", "width", "says"),
        [
            (None, "0", "not known yet"),
            (Fraction(1, 2), "50", "50% left"),
            (Fraction(-3), "0", "-300% left"),
            (Fraction(1), "100", "100% left"),
        ],
    )
    def test_a_meter(self, left, width, says) -> None:
        assert f'class="v" width="{width}"' in meter(left, "x")
        assert says in meter(left, "x")


@pytest.mark.parametrize(
    ("said", "words_"),
    [
        (words.share(Fraction(9996, 10000)), "99%"),
        (words.share(0.99999, 2), "99.99%"),
        (words.times(Fraction(1000)), "1,000"),
        (words.times(14.44), "14.4"),
        (words.times(0.25), "0.25"),
        (words.share(0.001), "under 1%"),
        (words.share(1.0, 2), "100%"),
        (words.share(0.9742, 2), "97.42%"),
        (words.share(-1.58), "-158%"),
        (words.share(0), "0%"),
        (words.lasting(59), "less than a minute"),
        (words.lasting(3900), "1 h 5 min"),
        (words.lasting(86400 * 4), "4 days"),
        (words.lasting(-5), "less than a minute"),
        (words.latency(0.0004), "0.4 ms"),
        (words.latency(0.034), "34 ms"),
        (words.latency(1.25), "1.25 s"),
        (words.latency(300), "5 min"),
        (words.latency(None), "–"),
        (words.moment(NOON, NOON), "12:00"),
        (words.moment(NOON - 86400, NOON), "20 Nov 12:00"),
        (words.moment(NOON - 400 * 86400, NOON), "17 Oct 2025 12:00"),
        (words.moment(1e30, NOON), "1 Jan 1970 00:00"),
        (words.why("pay", "status", 502), "pay: unexpected status 502"),
        (words.why("", "", None), ""),
        (words.why("", "timeout", None), "no answer in time"),
    ],
)
def test_words(said: str, words_: str) -> None:
    assert said == words_


def test_every_reason_has_words() -> None:
    for reason in Reason:
        if reason not in (Reason.NONE, Reason.PROBER):
            assert words.why("", reason.value, None) != reason.value
    for outcome in ("refused", "throttled", "blocked", "prober"):
        assert words.note(outcome) != outcome
