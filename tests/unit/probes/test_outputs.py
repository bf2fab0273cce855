"""Do results read well as JUnit and for Nagios, whatever stands in their texts?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from sre.core.secrets import redactor
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.junit import as_junit
from sre.probes.model import Check, Gauge, Reading
from sre.probes.nagios import as_nagios, unknown
from sre.probes.runner import Result


def step(name: str, seconds: float = 0.05, **words: Any) -> StepResult:
    row = Row(name, Outcome.OK, seconds, status=200, phases={"connect": 0.001}, **words)
    return StepResult(name, Outcome.OK, seconds, rows=(row,))


def result(
    outcome: Outcome = Outcome.OK,
    reason: Reason = Reason.NONE,
    message: str = "",
    steps: tuple[StepResult, ...] = (),
    gauges: tuple[Gauge, ...] = (),
) -> Result:
    return Result("home", "http", Reading(outcome, 0.12, reason, message, steps, gauges), 1.7e9)


CHECK = Check("home", "http", None, timeout=5.0)  # type: ignore[arg-type]


def cases(*results: Result) -> ElementTree.Element:
    return ElementTree.fromstring(as_junit(results, 1.5))


def test_junit_has_a_case_for_each_probe() -> None:
    suites = cases(
        result(steps=(step("one"), step("two"))),
        result(Outcome.FAILED, Reason.STATUS, "status 500"),
        result(Outcome.FAILED, Reason.PROBER, "no browser"),
        result(Outcome.BLOCKED, message="not on the allow-list"),
        result(Outcome.THROTTLED),
        result(Outcome.DEGRADED, Reason.SLOW, "took 3 s"),
        result(Outcome.REFUSED, message="sold out"),
    )
    assert suites.attrib == {
        "name": "sre probe run", "tests": "7", "failures": "1", "errors": "3", "time": "1.500"
    }  # fmt: skip
    found = suites.findall("./testsuite/testcase")
    assert {case.get("classname") for case in found} == {"probe.http"}
    assert found[0].get("time") == "0.120"
    properties = {p.get("name"): p.get("value") for p in found[0].iter("property")}
    assert properties["step 2 two"] == "ok, 200, 0.050 s, connect 0.001 s"
    tags = [[child.tag for child in case if child.tag != "properties"] for case in found]
    assert tags == [
        [],
        ["failure"],
        ["error"],
        ["error"],
        ["error"],
        ["system-out"],
        ["system-out"],
    ]
    assert found[1][0].attrib == {"type": "status", "message": "status 500"}
    assert found[4][0].attrib == {"type": "throttled", "message": "throttled"}
    assert found[5][0].text == "degraded: slow: took 3 s"


def test_junit_is_xml_whatever_a_server_says() -> None:
    text = 'a\x00\x1b[31m <b> & "q" \ud800 ]]> é\ufffe\n'
    suites = cases(
        result(Outcome.FAILED, Reason.BODY, text), result(Outcome.DEGRADED, Reason.SLOW, text)
    )
    message = suites.find(".//failure").get("message")  # type: ignore[union-attr]
    assert '<b> & "q"' in message  # type: ignore[operator]
    assert "]]>" in suites.find(".//system-out").text  # type: ignore[union-attr,operator]


def test_junit_hides_secrets() -> None:
    redactor.add("pa<ss&word")
    text = as_junit([result(Outcome.FAILED, Reason.BODY, "said pa<ss&word")], 1.0)
    assert "ss&amp;word" not in text
    assert "said " in text


@pytest.mark.parametrize(
    ("outcome", "reason", "code", "state"),
    [
        (Outcome.OK, Reason.NONE, 0, "OK"),
        (Outcome.DEGRADED, Reason.SLOW, 1, "WARNING"),
        (Outcome.REFUSED, Reason.NONE, 1, "WARNING"),
        (Outcome.FAILED, Reason.TLS, 2, "CRITICAL"),
        (Outcome.FAILED, Reason.PROBER, 3, "UNKNOWN"),
        (Outcome.BLOCKED, Reason.NONE, 3, "UNKNOWN"),
        (Outcome.THROTTLED, Reason.NONE, 3, "UNKNOWN"),
    ],
)
def test_nagios_codes(outcome: Outcome, reason: Reason, code: int, state: str) -> None:
    found, text = as_nagios(result(outcome, reason), CHECK)
    assert found == code
    assert text.startswith(f"HOME {state} - ")


def test_nagios_numbers() -> None:
    gauges = (
        Gauge("sre_probe_http_size_bytes", 2e12, "h."),
        Gauge("sre_probe_http_age_seconds", 1e-9, "h.", (("place", "it's = | here"),)),
        Gauge("sre_probe_http_hits_total", 5, "h.", counter=True),
        Gauge("sre_probe_http_odd", math.nan, "h."),
        Gauge("sre_probe_http_end_timestamp_seconds", 1.7e9, "h."),
        Gauge("sre_probe_http_below", -2.5, "h."),
    )
    steps = (step("list items"), step("pay"), step("pay"))
    _, text = as_nagios(result(steps=steps, gauges=gauges), replace(CHECK, slow=2.0), 0.5)
    assert text.splitlines()[0] == (
        "HOME OK - 3 requests in 120 ms | time=0.12s;2;5;0 'list items'=0.05s;;;0 pay=0.05s;;;0 "
        "'pay 2'=0.05s;;;0 size_bytes=2000000000000B;;;0 'age_seconds it''s _ / here'=0s;;;0 "
        "hits_total=5c;;;0 odd=U end_timestamp_seconds=1700000000 below=-2.5"
    )
    assert text.splitlines()[1] == "list items ok 200 in 50 ms"
    assert "time=0.12s;0.5;5;0" in as_nagios(result(), CHECK, 0.5)[1]


def test_nagios_reads_one_line_of_8_kib() -> None:
    nasty = "first|second\nthird\r\x00 " + "ü" * 9000
    steps = tuple(step(f"step {n} " + "x" * 50, message=nasty) for n in range(100))
    gauges = tuple(Gauge(f"sre_probe_http_g{n}_" + "y" * 60, n, "h.") for n in range(200))
    _, text = as_nagios(result(Outcome.FAILED, Reason.BODY, nasty, steps, gauges), CHECK)
    assert len(text.encode()) < 8000
    first, *rest = text.splitlines()
    assert first.startswith("HOME CRITICAL - body: first/second third ü")
    assert first.count("|") == 1
    assert rest
    assert "|" not in "".join(rest)
    line = unknown("a|b", nasty)
    assert "|" not in line
    assert "\n" not in line
