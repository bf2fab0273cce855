"""Does lint see the low-volume trap, with the numbers of the SRE workbook, and name the cure?"""

from __future__ import annotations

import pytest

from sre.slo.lint import lint
from tests.unit.slo.promises import promise


def found(**fields: object) -> list[tuple[str, str, str]]:
    return [(f.rule, f.severity, f.message) for f in lint([promise(**fields)])]


def test_a_good_objective_has_no_findings():
    assert found() == []


@pytest.mark.parametrize(
    ("target", "every", "severities"),
    [
        ("99.9%", 15, []),
        ("99.9%", 30, ["warning"]),
        ("99.9%", 60, ["error"]),
        ("99.9%", 300, ["error"] * 4),
        ("99.5%", 60, []),
        ("99.5%", 150, ["warning"]),
        ("99%", 60, []),
    ],
)
def test_low_volume(target, every, severities):
    seen = [f for f in lint([promise(target, every)]) if f.rule == "low-volume"]
    assert [f.severity for f in seen] == severities


def test_the_cure_is_a_cure():
    (finding,) = lint([promise("99.9%", 60)])
    assert "60 runs: one failed run alone fires it" in finding.message
    assert finding.remedy == "run it each 25s or more often, or promise 99.76% or less"
    assert found(target="99.9%", every=25) == []
    assert found(target="99.76%", every=60) == []


def test_two_probes_are_twice_the_events():
    assert found(target="99.8%", every=60)[0][:2] == ("low-volume", "warning")
    assert found(target="99.8%", every=60, watches=("a", "b")) == []


def test_a_ticket_is_not_judged_by_the_pages_it_never_makes():
    assert found(target="99.9%", every=60, severity="ticket") == []


def test_alerts_that_lead_nowhere():
    assert [f[:2] for f in found(runbook=None)] == [("runbook", "error")]
    assert [f[:2] for f in found(runbook=None, severity="ticket")] == [("runbook", "warning")]
    assert [f[:2] for f in found(links=False)] == [("links", "warning")]


def test_nobody_watches():
    assert [f[:2] for f in found(watches=())] == [("unwatched", "error")]


def test_windows_that_do_not_fit_the_interval():
    assert ("interval", "warning") in [f[:2] for f in found(target="90%", every=200)]
    rare = found(target="90%", every=3600)
    assert rare[0][:2] == ("interval", "error")
    assert "window of 1h" in rare[0][2]


def test_an_alert_that_can_never_fire():
    assert [f[:2] for f in found(target="90%", every=15)] == [("cannot-fire", "warning")]
