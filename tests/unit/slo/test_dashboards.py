"""Are the dashboards whole, and does the check see a metric that nobody exports?"""

from __future__ import annotations

import json

import pytest

from sre.probes.catalogue import all_metrics
from sre.slo.dashboards import JourneyShown, Shown, build
from sre.slo.promise import Watch
from sre.slo.rules import recorded
from sre.slo.vocabulary import Drawn, faults, metrics_in
from tests.unit.slo.promises import promise

CHECKOUT = JourneyShown("checkout", tuple(f"step{i}" for i in range(30)), (Watch("checkout", 30),))
SHOWN = Shown("demo", (promise(), promise(name="fast", below=2.0)), (CHECKOUT,), 30, host=True)


def drawn(text: str, name: str = "x.json") -> Drawn:
    board = json.loads(text)
    queries = [
        (panel["title"], target["expr"])
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]
    return Drawn(name, tuple(queries), board=board)


def test_every_panel_is_described_placed_and_asks_for_what_exists():
    rules = Drawn("rules", (("a", "up"),), frozenset(recorded(SHOWN.promises)))
    assert faults([*map(drawn, build(SHOWN).values()), rules], all_metrics()) == ()


def test_a_shop_without_objectives_or_host_probe_has_dashboards_too():
    bare = Shown("demo", (), (CHECKOUT,), 30, host=False)
    assert faults(map(drawn, build(bare).values())) == ()
    assert "host" not in build(bare)["storefront.json"]


def test_names_of_targets_are_unique_and_the_datasource_is_the_viewers():
    for text in build(SHOWN).values():
        board = json.loads(text)
        assert board["templating"]["list"][0]["name"] == "DS_PROMETHEUS"
        for panel in board["panels"]:
            names = [target["refId"] for target in panel.get("targets", ())]
            assert len(names) == len(set(names))
            for target in panel.get("targets", ()):
                assert target["datasource"]["uid"] == "${DS_PROMETHEUS}"


def test_rates_are_taken_over_two_runs_at_least():
    rare = Shown("demo", (), (CHECKOUT,), 3600, host=False)
    assert "[150m]" in build(rare)["storefront.json"]
    assert "[10m]" in build(SHOWN)["storefront.json"]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ('sum by (le, probe) (rate(a_b{le="c_d", x=~"y{2}"}[5m])) > 1e3', {"a_b"}),
        ("a:b:c / on(x, y) group_left d or vector(0) and e_f", {"a:b:c", "d", "e_f"}),
        ("max(time() - x_seconds) without (y)", {"x_seconds"}),
        ("absent(slo:x{a='b'} offset 5m)", {"slo:x"}),
    ],
)  # fmt: skip
def test_metrics_are_found_in_promql(expression, names):
    assert metrics_in(expression) == names


def test_faults_are_named():
    board = json.loads(build(SHOWN)["storefront.json"])
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    panels[0]["targets"][0]["expr"] = "sre_probe_upp"
    panels[1]["description"] = ""
    panels[2]["gridPos"] = panels[3]["gridPos"]
    panels[3]["id"] = panels[2]["id"]
    found = [str(fault) for fault in faults([drawn(json.dumps(board))])]
    assert "x.json: What is up: nobody exports or records 'sre_probe_upp'" in found
    assert "x.json: Alerts: it has no description" in found
    assert any("covers the panel" in fault for fault in found)
    assert any("have the id" in fault for fault in found)
    assert any("slo:sli_error:ratio_rate5m" in fault for fault in found)
