"""Do the committed rules and dashboards say what the demo's declaration says now?

`pytest tests/unit/slo/test_demo_files.py --update-golden` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.cli.dashboards import shown_of
from sre.cli.slo import promises_of
from sre.settings import load_settings
from sre.slo.dashboards import build
from sre.slo.lint import lint
from sre.slo.rules import rule_file
from sre.slo.ruletests import rule_test_file
from tests.conftest import Golden
from tests.servers.prometheus import promtool
from tests.unit.slo.demo_settings import write_demo

FOLDER = Path(__file__).parents[3] / "dashboards"
RULES = FOLDER / "prometheus" / "demo.rules.yml"
TESTS = FOLDER / "prometheus" / "tests" / "demo_test.yaml"


@pytest.fixture
def settings(tmp_path: Path):
    return load_settings(write_demo(tmp_path))


def test_rules(settings, golden: Golden):
    promises = promises_of(settings)
    golden(RULES, rule_file(promises))
    golden(TESTS, rule_test_file(promises, f"../{RULES.name}"))


def test_dashboards(settings, golden: Golden):
    for name, text in build(shown_of(settings)).items():
        golden(FOLDER / "grafana" / name, text)


def test_the_demo_promises_what_its_probes_can_measure(settings):
    assert [f for f in lint(promises_of(settings)) if f.severity == "error"] == []


@pytest.mark.prometheus
def test_promtool_accepts_and_passes_the_committed_files():
    for words in (("check", "rules", "--lint-fatal", str(RULES)), ("test", "rules", str(TESTS))):
        done = promtool(*words)
        assert done.returncode == 0, done.stdout + done.stderr
