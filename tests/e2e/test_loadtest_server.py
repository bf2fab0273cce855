"""Does the report show what the shop's own Prometheus saw, and survive one that says nothing?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from sre.core.clock import SystemClock
from sre.loadtest.judge.assemble import Ran
from sre.loadtest.judge.finding import Finding, State
from sre.loadtest.judge.report import Facts
from sre.loadtest.server.examiner import ServerExaminer
from sre.loadtest.server.model import Observe
from tests.e2e.loadtest_gate import GENERATOR, HOLD, Gate
from tests.servers.hostile import Hostile
from tests.servers.net import free_port
from tests.servers.prometheus import Scraping

FACTS = Facts(
    "t", "0" * 16, "2026-11-22T10:00:00+00:00", "http://t", "test", 10, 10.0, 1, 1, "open"
)


def asked(url: str, queries: Mapping[str, str]) -> dict[str, Finding]:
    examiner = ServerExaminer(Observe(url, dict(queries)), SystemClock())
    examiner.before("0" * 16)
    return {found.name: found for found in examiner.after(Ran(FACTS, (), 1.0))}


@pytest.mark.prometheus
def test_each_query_is_drawn_or_says_why_not(prometheus: Scraping) -> None:
    with prometheus("127.0.0.1:1") as server:
        found = asked(
            server.url,
            {
                "seven": "vector(7)",
                "clock": "time()",
                "two": 'vector(1) or label_replace(vector(2), "a", "b", "", "")',
                "none": "no_such_series",
                "bad": "sum(",
                "infinite": "vector(1) / 0",
            },
        )
    assert all(each.informational and each.kind == "server" for each in found.values())
    seven = found["seven"].data
    assert (seven["min"], seven["mean"], seven["max"]) == (7, 7, 7)
    assert [at for at, _ in seven["points"]] == pytest.approx(list(range(11)), abs=0.01)
    clock = found["clock"].data
    assert clock["max"] - clock["min"] == pytest.approx(10, abs=0.01)
    assert "2 series" in found["two"].problem
    assert "nothing for it" in found["none"].problem
    assert "refuses the query" in found["bad"].problem
    assert "parse error" in found["bad"].problem
    assert "infinite" in found["infinite"].problem
    assert found["bad"].state is State.UNKNOWN


def test_who_is_no_prometheus_says_nothing_and_breaks_nothing(hostile: Hostile) -> None:
    dead = asked(f"http://127.0.0.1:{free_port()}", {"a": "up"})["a"]
    assert "does not answer" in dead.problem
    for path in ("/status/200", "/status/503", "/echo"):
        found = asked(f"{hostile.url}{path}?", {"a": "up"})["a"]
        assert found.state is State.UNKNOWN, path
        assert found.problem, path


@pytest.mark.locust
@pytest.mark.prometheus
def test_the_verdict_does_not_depend_on_it_and_the_report_shows_it(
    tmp_path: Path, hostile: Hostile, prometheus: Scraping
) -> None:
    gate = Gate(tmp_path, tmp_path / "out")
    with prometheus("127.0.0.1:1") as server:
        observe = json.dumps({"prometheus": server.url, "queries": {"seven": "vector(7)"}})
        test = f"mix: {{home: 10/s}}, {HOLD % '2s'}, observe: {observe}"
        gate.declare(hostile.url, test, "{home: {steps: [{name: front, get: /echo}]}}")
        code, said, complained = gate.run()
    assert code == 0 or GENERATOR & gate.doubts, said + complained  # or a busy machine
    (seven,) = gate.summary["server"]
    assert (seven["mean"], seven["informational"], seven["passed"]) == (7, True, True)
    assert "server: seven" in (gate.out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("url", "queries", "words"),
    [
        ("127.0.0.1:9090", {"a": "up"}, "such as http"),
        ("http://me:secret@p:9090", {"a": "up"}, "no user or password"),
        ("http://p:9090", {}, "queries"),
        ("http://p:9090", {"a": " "}, "PromQL"),
    ],
)
def test_a_declaration_that_cannot_work_says_the_cure(
    url: str, queries: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Observe(url, queries)
