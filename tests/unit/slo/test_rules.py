"""Are the rules those of Sloth in name and label, exact in number, and right by promtool's word?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sre.slo.lint import lint
from sre.slo.promise import series
from sre.slo.rules import Rule, alert_name, groups_of, recorded, rule_file
from sre.slo.ruletests import expected, rule_test_file, scenarios_of
from sre.slo.yamltext import to_yaml
from tests.servers.prometheus import promtool
from tests.unit.slo.promises import promise

FAST = promise(name="checkout-fast", below=2.0, severity="ticket", runbook="checkout-slow")
STEP = promise(name="pay", step="checkout/payment")
STEP_FAST = promise(name="pay-fast", step="checkout/payment", below=0.25)
MANY = promise(name="many", watches=("here", "there"))
STRICT_MINUTE = promise("99.9%", 60, name="strict")
RARE = promise("95%", 600, name="rare", probe="home", watches=("home",), runbook=None, links=False)
WEEK = promise("99.5%", 15, name="week", window="7d")
SHORT = promise("90%", 10, name="short", window="1h")
WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"]
ALL = [promise(), FAST, STEP, STEP_FAST, MANY, STRICT_MINUTE, RARE, WEEK, SHORT]


def rules_of(one):
    return [rule for group in groups_of(one) for rule in group.rules]


def alerts_of(one):
    return [rule for rule in rules_of(one) if rule.kind == "alert"]


def test_names_and_labels_are_sloths():
    ratio = [f"slo:sli_error:ratio_rate{w}" for w in WINDOWS]
    assert [rule.name for rule in rules_of(promise()) if rule.kind == "record"] == [
        *ratio,
        "slo:objective:ratio",
        "slo:error_budget:ratio",
        "slo:time_period:days",
        "slo:current_burn_rate:ratio",
        "slo:period_burn_rate:ratio",
        "slo:period_error_budget_remaining:ratio",
        "sloth_slo_info",
    ]
    assert [group.name for group in groups_of(promise())] == [
        "sloth-slo-sli-recordings-demo-checkout-available",
        "sloth-slo-meta-recordings-demo-checkout-available",
        "sloth-slo-alerts-demo-checkout-available",
    ]
    labels = rules_of(promise())[0].labels
    assert labels == {
        "sloth_id": "demo-checkout-available",
        "sloth_service": "demo",
        "sloth_slo": "checkout-available",
        "sloth_window": "5m",
        "owner": "shop",
    }


def test_an_alert_says_which_pair_fired_and_where_to_look():
    first = alerts_of(promise())[0]
    assert first.labels["window"] == "1h"
    assert first.labels["burn_factor"] == "14.4"
    assert first.labels["severity"] == first.labels["sloth_severity"] == "page"
    assert first.labels["journey"] == "checkout"
    assert first.annotations["runbook_url"] == (
        "https://git.example.com/runbooks/checkout-failing.md"
    )
    assert first.annotations["dashboard_url"] == "https://grafana.example.com/d/sre-storefront"
    assert "> (14.4 * 0.01)" in first.expr
    assert [rule.labels["window"] for rule in alerts_of(promise())] == [
        "1h", "6h", "1d", "3d", "5m",
    ]  # fmt: skip


def test_a_ticket_has_no_pages():
    assert {rule.labels["severity"] for rule in alerts_of(FAST)} == {"ticket"}


def test_events_are_weighted_over_the_whole_period():
    period = next(r for r in rules_of(promise()) if r.name == "slo:sli_error:ratio_rate30d")
    assert "increase(sre_probe_attempts_total{" in period.expr
    assert "[30d]" in period.expr


def test_latency_reads_the_bucket_of_its_threshold():
    expr = rules_of(STEP_FAST)[0].expr
    selector = 'sre_probe_step_duration_seconds_bucket{journey="checkout",step="payment",le="0.25"}'
    assert selector in expr
    assert 'le="2.0"' in rules_of(FAST)[0].expr


def test_no_number_carries_float_noise():
    text = rule_file(ALL)
    assert re.findall(r"\d\.\d{6,}|\d[eE]-?\d", text) == []


def test_recorded_names_what_dashboards_may_use():
    assert "slo:sli_error:ratio_rate25m" in recorded([RARE])
    assert "CheckoutAvailableBudgetBurn" not in recorded([promise()])


def test_lint_and_rules_agree_about_what_is_left_out():
    rare = promise("90%", 3600, name="rare")
    assert lint([rare])[0].rule == "interval"
    assert "1h" not in [rule.labels["window"] for rule in alerts_of(rare)]


@pytest.mark.prometheus
def test_promtool_accepts_the_rules(tmp_path: Path):
    path = tmp_path / "all.rules.yml"
    path.write_text(rule_file(ALL), encoding="utf-8")
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.prometheus
@pytest.mark.parametrize("one", ALL, ids=lambda one: one.objective.name)
def test_prometheus_and_our_own_arithmetic_fire_the_same_alerts(one, tmp_path: Path):
    (tmp_path / "one.rules.yml").write_text(rule_file([one]), encoding="utf-8")
    cases = tmp_path / "one_test.yaml"
    cases.write_text(rule_test_file([one], "one.rules.yml"), encoding="utf-8")
    done = promtool("test", "rules", str(cases))
    assert done.returncode == 0, done.stdout + done.stderr


def fired(one, name: str) -> list[list[str]]:
    """What each look of a scenario sees, as `page 1h`."""
    scenario = next(s for s in scenarios_of(one) if s.name.endswith(name))
    return [
        [f"{severity} {window}" for _, severity, window in expected(scenario, at, 300)]
        for at in scenario.looks
    ]


def pages(looks: list[list[str]]) -> list[list[str]]:
    return [[alert for alert in look if alert.startswith("page")] for look in looks]


def test_what_pages_when():
    good = promise()
    assert pages(fired(good, "as its budget allows")) == [[], []]
    assert [look[0] for look in fired(good, "first pair allows")] == ["page 1h"] * 3
    assert pages(fired(good, "fails for 10 minutes")) == [[], ["page 1h"], []]
    assert pages(fired(good, "then recovers")) == [
        ["page 1h"],
        ["page 1h", "page 6h"],
        ["page 6h"],
        [],
        [],
    ]
    assert fired(good, "one run fails") == [[], []]
    assert pages(fired(STRICT_MINUTE, "one run fails"))[0] == ["page 1h"]
    assert fired(good, "no burn") == [["page 5m"]]


@pytest.mark.prometheus
def test_a_person_can_read_what_the_alert_says(tmp_path: Path):
    one = promise()
    (tmp_path / "one.rules.yml").write_text(rule_file([one]), encoding="utf-8")
    left = "slo:period_error_budget_remaining:ratio"
    labels = {**one.labels, "owner": "shop", "sloth_window": "30d"}
    burning = [rule for rule in alerts_of(one) if rule.name == alert_name(one)]
    case = {
        "interval": "1m",
        "input_series": [attempts("ok", ""), attempts("failed", "timeout")],
        "promql_expr_test": [
            {
                "expr": f"round({left}, 0.001)",
                "eval_time": "1h",
                "exp_samples": [{"value": -49, "labels": series("", labels)}],
            }
        ],
        "alert_rule_test": [
            {
                "eval_time": "1h",
                "alertname": alert_name(one),
                "exp_alerts": [
                    {"exp_labels": rule.labels, "exp_annotations": said(rule)} for rule in burning
                ],
            }
        ],
    }
    data = {
        "rule_files": ["one.rules.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [group.name for group in groups_of(one)],
        "tests": [case],
    }
    cases = tmp_path / "one_test.yaml"
    cases.write_text(to_yaml(data), encoding="utf-8")
    done = promtool("test", "rules", str(cases))
    assert done.returncode == 0, done.stdout + done.stderr
    assert said(burning[0])["summary"] == (
        "The journey checkout is failing: 50% of its runs in the last 1 hour failed, and it still "
        "goes on. At this rate the error budget of 30 days lasts 50 hours at most."
    )


def attempts(outcome: str, reason: str) -> dict[str, str]:
    labels = {"probe": "checkout", "outcome": outcome, "reason": reason}
    return {"series": series("sre_probe_attempts_total", labels), "values": "0+1x60"}


def said(rule: Rule) -> dict[str, str]:
    text = rule.annotations["summary"].replace("{{ $value | humanizePercentage }}", "50%")
    return {**rule.annotations, "summary": text}
