"""Is the standing of a promise read rightly from recorded series, and shown to people?"""

from __future__ import annotations

import json

from sre.slo.prometheus import Point
from sre.slo.render import status_as_json, status_as_text
from sre.slo.status import questions, standings
from tests.unit.slo.promises import promise

ID = "demo-checkout-available"


def point(name: str, value: float, **labels: str) -> Point:
    return Point({"__name__": name, "sloth_id": ID, **labels}, value)


RECORDED = [
    point("slo:objective:ratio", 0.99),
    point("slo:sli_error:ratio_rate5m", 0.02),
    point("slo:sli_error:ratio_rate1h", 0.01),
    point("slo:sli_error:ratio_rate30d", 0.004),
    Point({"__name__": "slo:sli_error:ratio_rate5m", "sloth_id": "demo-other"}, 1.0),
]
FIRES = point(
    "ALERTS", 1,
    alertname="CheckoutAvailableBudgetBurn", severity="page", window="1h", alertstate="firing",
)  # fmt: skip


def test_a_healthy_promise():
    (one,) = standings([promise()], RECORDED, [])
    assert (one.state, one.target, one.window) == ("ok", "99%", "30d")
    assert one.burn == {"5m": 2.0, "1h": 1.0, "30d": 0.4}
    data = json.loads(status_as_json([one]))["objectives"][0]
    assert (data["sli"], data["budget_left"], data["alerts"]) == (0.996, 0.6, [])
    text = status_as_text([one])
    assert "99.6%" in text
    assert "60%" in text


def test_an_alert_that_fires():
    (one,) = standings([promise()], RECORDED, [FIRES])
    assert one.state == "burning"
    assert "firing: CheckoutAvailableBudgetBurn (page, 1h)" in status_as_text([one])


def test_missing_data_is_not_health():
    (one,) = standings([promise()], RECORDED[:1], [])
    assert (one.state, one.sli) == ("no data", None)
    (one,) = standings([promise()], [], [])
    assert one.state == "not recorded"
    assert "sre slo rules" in status_as_text([one])
    nan = [point("slo:objective:ratio", 0.99), point("slo:sli_error:ratio_rate5m", float("nan"))]
    assert standings([promise()], nan, [])[0].state == "no data"


def test_what_is_asked():
    assert questions("demo") == (
        '{__name__=~"slo:.+", sloth_service="demo"}',
        'ALERTS{sloth_service="demo"}',
    )
