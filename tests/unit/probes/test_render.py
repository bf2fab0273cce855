"""Do results read well, as text and as JSON, and make the documented exit code?"""

from __future__ import annotations

import itertools
import json

import pytest

from sre.core.secrets import MASK, redactor
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.model import Gauge, Reading
from sre.probes.render import as_json, as_text, exit_code
from sre.probes.runner import Result

KINDS = {
    5: Reading(Outcome.BLOCKED, 0.0),
    1: Reading(Outcome.FAILED, 0.1, Reason.STATUS, "expected status 200, got 500"),
    8: Reading(Outcome.FAILED, 0.1, Reason.PROBER),
    4: Reading(Outcome.THROTTLED, 0.1),
    3: Reading(Outcome.DEGRADED, 0.1, Reason.SLOW),
    0: Reading(Outcome.OK, 0.1),
}
ORDER = list(KINDS)


def results(*readings: Reading) -> list[Result]:
    return [Result(f"p{n}", "http", reading, 1e9) for n, reading in enumerate(readings)]


@pytest.mark.parametrize("pair", list(itertools.permutations(KINDS, 2)))
def test_the_first_that_is_present_decides(pair):
    expected = min(pair, key=ORDER.index)
    assert exit_code(results(*(KINDS[code] for code in pair))) == expected


def test_refused_counts_as_degraded_and_nothing_is_good():
    assert exit_code(results(Reading(Outcome.REFUSED, 0.1))) == 3
    assert exit_code([]) == 0


def hops() -> Reading:
    first = Row("pay", Outcome.OK, 0.2, "cart", status=302, phases={"connect": 0.1, "resolve": 0.1})
    second = Row("pay", Outcome.FAILED, 0.3, "cart", Reason.STATUS, 500, hop=1, message="got 500")
    step = StepResult("pay", Outcome.FAILED, 0.5, "cart", Reason.STATUS, 500, rows=(first, second))
    empty = StepResult("cancel", Outcome.FAILED, 0.0, reason=Reason.EXTRACT, cleanup=True)
    return Reading(
        Outcome.FAILED, 0.5, Reason.STATUS, "pay: got 500", (step, empty), (), "checkout", "r1"
    )


def test_json_has_the_agreed_keys_and_a_row_for_each_request():
    document = json.loads(as_json(results(hops())))
    assert document["schema"] == "sre.probe-run/1"
    [result] = document["results"]
    assert {"probe", "outcome", "reason", "seconds", "steps", "message", "started"} <= set(result)
    assert result["started"] == "2001-09-09T01:46:40.000Z"
    one, two, three = result["steps"]
    keys = {"step", "group", "outcome", "reason", "status", "seconds", "phases"}
    assert all(keys <= set(row) for row in result["steps"])
    assert one["phases"] == {"resolve": 0.1, "connect": 0.1}
    assert list(one["phases"]) == ["resolve", "connect"]
    assert (one["hop"], two["hop"], two["status"]) == (0, 1, 500)
    assert (three["step"], three["reason"], three["cleanup"]) == ("cancel", "extract", True)


def test_text_shows_probes_then_steps():
    text = as_text(results(hops(), KINDS[0]))
    lines = text.splitlines()
    assert lines[0].split() == ["probe", "outcome", "reason", "time", "message"]
    assert "pay: got 500" in lines[1]
    assert any(line.startswith("pay hop 1") and "500" in line for line in lines)
    assert "cancel (cleanup)" in text
    assert "tls" not in text, "a phase that never happened has no column"


def test_secrets_are_masked_in_json_even_where_json_escapes_them():
    redactor.add('pla"nted\n-secret')
    reading = Reading(Outcome.FAILED, 0.1, Reason.BODY, 'found pla"nted\n-secret here')
    text = as_json(results(reading))
    assert "nted" not in text
    assert MASK in json.loads(text)["results"][0]["message"]


def test_numbers_are_in_the_data_and_in_the_text_where_they_are_wanted():
    gauge = Gauge("sre_probe_x_ratio", 0.25, "X.", (("mount", "/"),))
    found = results(Reading(Outcome.OK, 0.1, gauges=(gauge,)))
    (one,) = json.loads(as_json(found))["results"]
    assert one["numbers"] == [
        {"name": "sre_probe_x_ratio", "labels": {"mount": "/"}, "value": 0.25}
    ]
    assert "sre_probe_x_ratio" not in as_text(found)
    assert "sre_probe_x_ratio  mount=/" in as_text(found, numbers=True)
